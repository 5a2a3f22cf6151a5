"""Looks at a page in one size and colour scheme: does it fit, and what does axe say of it?"""

from pathlib import Path

from playwright.async_api import Page

from tests.service.console.test_console_pages import AXE, SIZES

OVER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


async def look(page: Page, name: str, size: str, scheme: str, folder: Path) -> None:
    """Raises `AssertionError` where the page is too wide, or axe finds something to mend."""
    width, height = SIZES[size]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    await page.goto(f"/console/{name}")
    await page.evaluate("for (const each of document.querySelectorAll('details')) each.open = true")
    file = f"{size}-{scheme}-{name[:4]}-{name[-4:]}.png"
    await page.screenshot(path=folder / file, full_page=True)
    assert await page.evaluate(OVER) == 0, name
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("axe.run().then(found => found.violations)")
    said = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
    assert said == [], name
