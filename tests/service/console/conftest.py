"""A real browser for the tests of pages, and an API of a module's own."""

import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright

from tests.service.api.api_process import Api, shared_processes, start_api

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncIterator[Browser]:
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    if path is None:
        pytest.skip("!! NO CHROMIUM ON PATH: no page was opened. `make browser` installs one.")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=QUIET)
        yield browser
        await browser.close()


@pytest.fixture(scope="module")
def own_api(
    project: Path, postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API of these tests alone: a page shows fifty jobs, and others' would fill it."""
    with shared_processes(project, postgres, template, tmp_path_factory.mktemp("own")) as running:
        yield start_api(running)


@pytest_asyncio.fixture(loop_scope="module")
async def page(browser: Browser, own_api: Api) -> AsyncIterator[Page]:
    """A page that fails its test when the browser blocked, missed or complained about anything."""
    context = await browser.new_context(base_url=own_api.url)
    page = await context.new_page()
    complaints: list[str] = []

    def hear(said: ConsoleMessage) -> None:
        # every browser asks for an icon; there is none
        if said.type == "error" and not said.location["url"].endswith("/favicon.ico"):
            complaints.append(said.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("requestfailed", lambda failed: complaints.append(f"{failed.url}: {failed.failure}"))
    await page.add_init_script(
        "document.addEventListener('securitypolicyviolation',"
        " event => console.error('blocked: ' + event.blockedURI + event.violatedDirective))"
    )
    yield page
    await page.goto("about:blank")  # ends the polling
    await context.close()
    assert [said for said in complaints if "ERR_ABORTED" not in said] == []
