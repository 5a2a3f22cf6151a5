"""Many jobs changed in the console: chosen ones, and all that a filter leaves."""

import re
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.service.api.api_process import Api
from tests.service.api.test_api_bulk import count, plant_failed
from tests.service.console.test_console_actions import actor, onlooker
from tests.service.console.test_console_pages import AXE, BROWSED, SIZES

pytest_plugins = ["tests.service.api.conftest_api"]
__all__ = ["actor", "onlooker"]  # fixtures


@BROWSED
async def test_chosen_jobs_and_all_that_match_are_changed_and_undone(
    page: Page, own_api: Api
) -> None:
    plant_failed(own_api, "console-bulk", 60)
    await page.goto("/console/jobs?task=console-bulk&status=failed")
    for number in (60, 59):
        await page.get_by_label(f"Choose console-bulk:{number}", exact=True).check()
    await page.get_by_role("button", name="Change the chosen jobs").click()
    await expect(
        page.get_by_role("heading", name=re.compile(r"Bulk action \d+: retry"))
    ).to_be_visible()
    await expect(page.get_by_role("status")).to_contain_text("done 2 jobs changed", timeout=10_000)
    assert count(own_api, "console-bulk", "queued") == 2

    await page.goto("/console/jobs?task=console-bulk&status=failed")
    await page.get_by_label("Action").select_option("delete")
    await page.get_by_role("button", name="Change all that match").click()
    await expect(page.get_by_text("58 jobs match now")).to_be_visible()
    await page.get_by_role("link", name="No, back to the jobs").click()
    await expect(page.get_by_label("Task")).to_have_value("console-bulk")
    await page.get_by_label("Action").select_option("delete")
    await page.get_by_role("button", name="Change all that match").click()
    await page.get_by_role("button", name="Yes, begin").click()
    await expect(page.get_by_role("status")).to_contain_text("done 58 jobs changed", timeout=10_000)
    assert count(own_api, "console-bulk", "failed") == 0
    await expect(page.get_by_role("button", name="Undo")).to_have_count(0)

    await page.goto("/console/jobs?task=console-bulk")
    await page.get_by_label("Choose console-bulk:60", exact=True).check()
    await page.get_by_label("Action").select_option("delete")
    await page.get_by_role("button", name="Change the chosen jobs").click()
    await expect(page.get_by_role("heading", name="Delete the chosen jobs?")).to_be_visible()
    await expect(page.locator("main li")).to_have_text(["console-bulk:60"])
    await page.get_by_role("button", name="Yes, begin").click()
    # it waits, and only what has ended is deleted
    await expect(page.get_by_role("status")).to_contain_text("done 0 jobs changed", timeout=10_000)

    await page.goto("/console/jobs?task=console-bulk")
    await page.get_by_label("Choose all on this page").check()
    await page.get_by_label("Action").select_option("priority")
    await page.get_by_label("New priority").fill("7")
    await page.get_by_role("button", name="Change the chosen jobs").click()
    await expect(page.get_by_role("status")).to_contain_text("done 2 jobs changed", timeout=10_000)
    await page.get_by_role("button", name="Undo").click()
    await expect(page.get_by_role("status")).to_contain_text("done 2 jobs changed", timeout=10_000)
    sql = "SELECT DISTINCT priority FROM saq_jobs WHERE task = 'console-bulk'"
    assert [tuple(found) for found in own_api.sql(sql)] == [(0,)]

    await page.get_by_role("link", name="Audit").click()
    rows = page.get_by_role("row").filter(has_text="bulk delete")
    row = rows.filter(has_text="status=failed, task=console-bulk")
    await row.get_by_role("link", name="58").click()
    await page.get_by_role("link", name="Bulk", exact=True).click()
    await expect(page.get_by_role("row").filter(has_text="undone")).to_have_count(1)


@BROWSED
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_its_pages_fit_the_screen_and_axe_finds_nothing(
    page: Page, own_api: Api, size: str, scheme: str, tmp_path: Path
) -> None:
    plant_failed(own_api, f"console-{size}-{scheme}", 3)
    width, height = SIZES[size]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    steps = ("chosen", "confirm", "one", "list")
    for step in steps:
        if step == "chosen":
            await page.goto(f"/console/jobs?task=console-{size}-{scheme}&status=failed")
        elif step == "confirm":
            await page.get_by_role("button", name="Change all that match").click()
        elif step == "one":
            await page.get_by_role("button", name="Yes, begin").click()
            await expect(page.get_by_role("status")).to_contain_text("3 jobs", timeout=10_000)
        else:
            await page.get_by_role("link", name="Bulk", exact=True).click()
        await page.screenshot(path=tmp_path / f"bulk-{size}-{scheme}-{step}.png")
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(over) == 0, step
        await page.evaluate(AXE.read_text())
        found = await page.evaluate("axe.run().then(found => found.violations)")
        assert [(each["id"], [node["html"] for node in each["nodes"]]) for each in found] == []


def test_who_may_only_look_sees_them_and_changes_nothing(
    guarded_api: Api, actor: httpx.Client, onlooker: httpx.Client
) -> None:
    plant_failed(guarded_api, "console-look", 2)
    form = {"action": "retry", "which": "confirmed", "filter": "task=console-look"}
    begun = actor.post("/console/bulk", data=form)
    assert begun.status_code == 303
    where = begun.headers["Location"]
    assert "<form" in actor.get(where).text
    for path in ("/console/bulk", f"{where}/stop", f"{where}/resume", f"{where}/undo"):
        answer = onlooker.post(path, data=form)
        assert answer.status_code == 403, path
    for page in ("/console/jobs?task=console-look", "/console/bulk", where):
        shown = onlooker.get(page)
        assert shown.status_code == 200
        assert shown.text.count('method="post"') == 1, "to sign out"
        assert "checkbox" not in shown.text
    rows = guarded_api.sql(
        "SELECT who, what, target FROM console_actions WHERE bulk_action = $1",
        int(where.rpartition("/")[2]),
    )
    assert [tuple(row) for row in rows] == [
        ("alice", "bulk retry", "status=failed, task=console-look")
    ]


def test_wrong_forms_say_what_is_wrong(actor: httpx.Client) -> None:
    for form, status, text in (
        ({"action": "retry", "which": "chosen"}, 422, "no job was chosen"),
        ({"action": "delete", "filter": "status=failed"}, 422, "which: is none of"),
        ({"action": "explode", "which": "all", "filter": "task=a"}, 422, "action: is none of"),
        (
            {"action": "priority", "which": "all", "filter": "task=a", "priority": "high"},
            422,
            "whole",
        ),
        ({"action": "cancel", "which": "all", "filter": "status=failed"}, 422, "must be queued"),
        ({"action": "retry", "which": "all", "filter": "payload=token%3Dx"}, 422, "is hidden"),
    ):
        answer = actor.post("/console/bulk", data=form)
        assert answer.status_code == status, form
        assert text in answer.text
    assert actor.get("/console/bulk/999999").status_code == 404
    assert actor.post("/console/bulk/999999/undo").status_code == 404
