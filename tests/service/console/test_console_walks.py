"""The pages of one job, of the dead letters and of the workers, walked in a real browser."""

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from playwright.async_api import Page, expect

from tests.service.api.api_process import Api
from tests.service.console.looking import look
from tests.service.console.test_console_pages import HOSTILE, SIZES, plant, plant_worker
from tests.service.console.test_frames import TRACE

pytest_plugins = ["tests.service.api.conftest_api"]

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser


@pytest.fixture(scope="module")
def retried(own_api: Api) -> str:
    """A job whose third attempt has failed too."""
    key = plant(own_api, "failed", {}, f"{TRACE}RuntimeError: {HOSTILE}")
    own_api.sql(
        "UPDATE saq_jobs SET attempts = 3, worker_id = 'host-3',"
        " created_at = created_at - INTERVAL '1 h' WHERE key = $1",
        key,
    )
    for number, outcome, error in ((1, "failed", f"{TRACE}OSError: {HOSTILE}"), (2, "crashed", "")):
        own_api.sql(
            "INSERT INTO job_attempts (job_id, attempt, worker_id, started_at, ended_at, outcome,"
            " error) SELECT background_job_id, $2, 'host-' || $2::int,"
            " created_at + $2::int * INTERVAL '1 min', created_at + $2::int * INTERVAL '90 s', $3,"
            " nullif($4, '') FROM saq_jobs WHERE key = $1",
            key, number, outcome, error,
        )  # fmt: skip
    return key


@pytest.fixture(scope="module")
def parent(own_api: Api) -> str:
    """A job that a request has enqueued, with two children."""
    key, *children = (plant(own_api, status, {}) for status in ("complete", "failed", "complete"))
    meta = {
        "request_id": "trace-7",
        "request_line": f"POST /orders/{HOSTILE}",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03",
    }
    own_api.sql(
        "UPDATE saq_jobs SET job = convert_to($2 || substr(convert_from(job, 'UTF8'), 2), 'UTF8')"
        " WHERE key = $1",
        key, f'{{"meta": {json.dumps(meta)}, ',
    )  # fmt: skip
    own_api.sql(
        "INSERT INTO job_children (child, parent) SELECT background_job_id, $2 FROM saq_jobs"
        " WHERE key = ANY ($1::text[])",
        children, key,
    )  # fmt: skip
    return key


@BROWSED
async def test_a_job_leads_to_its_children_and_they_to_it(page: Page, parent: str) -> None:
    await page.goto(f"/console/jobs/{quote(parent, safe='')}")
    await expect(page.get_by_text(f"POST /orders/{HOSTILE}")).to_be_visible()
    await expect(page.get_by_text("trace-7")).to_be_visible()
    await expect(page.get_by_text("0af7651916cd43dd8448eb211c80319c")).to_be_visible()
    children = page.get_by_role("region", name="Jobs that it has enqueued").locator("tbody tr")
    await expect(children).to_have_count(2)
    await children.first.get_by_role("link").click()
    await expect(page.locator("h1 .state")).to_have_text("failed")
    await page.get_by_role("link", name=parent).click()
    await expect(page.locator("h1 .state")).to_have_text("complete")
    assert await page.evaluate("window.pwned") is None


@BROWSED
async def test_each_attempt_is_told_with_its_worker_and_its_error(page: Page, retried: str) -> None:
    await page.goto(f"/console/jobs/{quote(retried, safe='')}")
    moments = page.locator(".moments > li")
    await expect(moments).to_have_count(7)
    for number, text in enumerate((
        "enqueued", "attempt 1 started", "failed", "attempt 2 started", "its worker died",
        "attempt 3 started", "failed",
    )):  # fmt: skip
        await expect(moments.nth(number).locator("strong")).to_have_text(text)
    await expect(moments.nth(1)).to_contain_text("on host-1")
    await expect(moments.nth(1)).to_contain_text("ran 30 s")
    first = moments.nth(2)
    await expect(first.locator("summary").first).to_have_text(f"OSError: {HOSTILE}")
    await expect(first.get_by_text("domain/mail/jobs/tasks.py")).to_be_hidden()
    await first.locator("summary").first.click()
    await expect(first.get_by_text("domain/mail/jobs/tasks.py")).to_be_visible()
    error = page.get_by_role("region", name="Error")
    await expect(error.get_by_text("domain/mail/jobs/tasks.py")).to_be_visible()
    await expect(error.get_by_text("worker/invoke.py")).to_be_hidden()
    await error.get_by_text("2 frames of other code").first.click()
    await expect(error.get_by_text("worker/invoke.py")).to_be_visible()
    assert await page.evaluate("window.pwned") is None


@pytest.fixture(scope="module")
def busy(own_api: Api) -> str:
    """A live worker with seven running jobs; its row shows five."""
    name = f"ip-10-0-1-7-{HOSTILE}"[:55]
    plant_worker(own_api, name)
    for number in range(7):
        key = plant(own_api, "queued", {"n": number})
        own_api.sql("UPDATE saq_jobs SET status = 'active', owner = $2 WHERE key = $1", key, name)
    return name


@BROWSED
async def test_a_worker_shows_what_it_runs_and_is_drained(
    page: Page, own_api: Api, busy: str
) -> None:
    await page.goto("/console/")
    await page.get_by_role("link", name="Workers", exact=True).click()
    row = page.get_by_role("row").filter(has_text=busy)
    await expect(row).to_contain_text("worker-reports")
    await expect(row).to_contain_text("7 of 10")
    await expect(row.locator(".runs")).to_have_count(5)
    await page.goto("/console/queues/default")
    await expect(page.get_by_text("10 jobs at once")).to_be_visible()
    await page.go_back()
    await row.get_by_role("button", name="Drain").click()
    await expect(row).to_contain_text("drains")
    await expect(row.get_by_role("button")).to_have_count(0)
    (found,) = own_api.sql("SELECT is_draining FROM queue_workers WHERE id = $1", busy)
    assert found["is_draining"]
    await row.get_by_role("link", name="and 2 more").click()
    await expect(page.locator("tbody tr")).to_have_count(7)
    assert await page.evaluate("window.pwned") is None


@BROWSED
async def test_a_queue_says_who_has_paused_it(page: Page, busy: str) -> None:
    assert busy
    await page.goto("/console/")
    await page.get_by_role("link", name="default", exact=True).click()
    await expect(page.get_by_role("heading", name="Queue default")).to_be_visible()
    await expect(page.get_by_text("hooked", exact=True)).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    await page.goto("/console/queues/default")
    await expect(page.get_by_role("status")).to_contain_text("somebody on this machine has paused")
    await page.get_by_role("button", name="Resume").click()
    await page.goto("/console/queues/default")
    await expect(page.get_by_role("status")).to_have_count(0)


@pytest.fixture(scope="module")
def dead(own_api: Api) -> str:
    """A cause of three jobs, and one of another."""
    for number in range(3):
        plant(own_api, "failed", {}, f"{TRACE}TimeoutError: order {number} of 'a{number}' is late")
    plant(own_api, "failed", {}, f"{TRACE}OSError: <b>{HOSTILE}</b>")
    return "TimeoutError: order … of … is late"


@BROWSED
async def test_dead_letters_are_counted_by_cause_and_lead_to_their_jobs(
    page: Page, dead: str
) -> None:
    await page.goto("/console/")
    await page.get_by_role("link", name="Dead letters", exact=True).click()
    row = page.get_by_role("row").filter(has_text=dead)
    await expect(row.locator("td").first).to_have_text("3")
    await expect(page.get_by_role("row").filter(has_text="OSError: <b><img")).to_have_count(1)
    await row.get_by_role("link").first.click()
    await expect(page.get_by_label("Text in the error")).to_have_value("TimeoutError: order")
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.goto("/console/dead-letters?task=nobody")
    await expect(page.get_by_text("No job has failed of this task.")).to_be_visible()
    assert await page.evaluate("window.pwned") is None


@BROWSED
async def test_the_filter_suggests_what_there_is(page: Page, dead: str, busy: str) -> None:
    assert dead
    await page.goto("/console/jobs?task=keep_note")
    starts = page.locator("#starts option")
    assert await starts.evaluate_all("found => found.map(each => each.value)") == [
        "author=", "message=", "user_id=",
    ]  # fmt: skip
    await page.get_by_label("Text in the error").focus()
    await expect(page.locator('#errors option[value="TimeoutError: order"]')).to_have_count(1)
    await page.get_by_text("More filters").click()
    await page.get_by_label("Worker").focus()
    await expect(page.locator("#workers option")).to_have_count(1)
    assert await page.locator("#workers option").get_attribute("value") == busy
    assert await page.evaluate("window.pwned") is None


@pytest.fixture(scope="module")
def names(retried: str, parent: str, busy: str, dead: str) -> list[str]:
    """The pages, with something on each."""
    assert busy
    assert dead
    jobs = [f"jobs/{quote(key, safe='')}" for key in (retried, parent)]
    return [*jobs, "workers", "dead-letters", "queues/default"]


@BROWSED
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_and_axe_finds_nothing(
    page: Page, names: list[str], size: str, scheme: str, tmp_path: Path
) -> None:
    for name in names:
        await look(page, name, size, scheme, tmp_path)
