"""Every page and action of the console with 100,000 jobs of which 5,000 failed, as both roles."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Locator, Page, expect

from tests.service.api.api_process import API_KEY, UI_LOGIN, Api, shared_processes, start_api
from tests.service.console.looking import look
from tests.service.console.test_console_door import link
from tests.service.console.test_console_pages import HOSTILE, plant, plant_worker

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser
COMPLETE, FAILED = 95_000, 5_000
CAUSES = 10
FILL_COMPLETE = """
INSERT INTO job_archive (key, queue, task, status, attempts, worker_id, created_at, scheduled_at,
                         started_at, finished_at, is_bad)
SELECT 'done-' || n, 'default', 'sleep', 'complete', 1, 'host-' || n % 7, at, at, at, at, FALSE
FROM (SELECT n, clock_timestamp() - ($1::int + 5000 - n) * INTERVAL '1 s' AS at
      FROM generate_series(1, $1::int) AS n) AS made
"""
FILL_FAILED = """
INSERT INTO saq_jobs (key, job, queue, status, task, error, attempts, lease, created_at, started_at,
                      finished_at, is_bad, scheduled, expire_at)
SELECT 'bad-' || n, convert_to(json_build_object(
           'function', 'hooked', 'key', 'bad-' || n, 'queue', 'default', 'status', 'failed',
           'attempts', 1, 'kwargs', json_build_object($3::text, $3::text))::text, 'UTF8'),
       'default', 'failed', 'hooked', 'OSError: ' || repeat('x', n % $2::int) || $3::text, 1, 2,
       at, at, at + INTERVAL '2 s', TRUE, 1, extract(epoch FROM now())::bigint + 100000
FROM (SELECT n, clock_timestamp() - ($1::int + 10 - n) * INTERVAL '1 s' AS at
      FROM generate_series(1, $1::int) AS n) AS made
"""


@pytest.fixture(scope="module")
def large(
    project: Path, postgres: str, template: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """A guarded API with so many jobs, one of each kind that a page shows, and a live worker."""
    folder = tmp_path_factory.mktemp("large")
    with shared_processes(project, postgres, template, folder) as running:
        user, password = UI_LOGIN
        api = start_api(
            running, STAGE="prod", API_KEY=API_KEY, UI_USERNAME=user, UI_PASSWORD=password
        )
        api.sql(FILL_COMPLETE, COMPLETE)
        api.sql(FILL_FAILED, FAILED, CAUSES, HOSTILE)
        plant_worker(api, f"host-{HOSTILE}"[:60])
        with api.client(**{"X-API-Key": API_KEY}) as http:
            schedule = {"name": "mornings", "task": "sleep", "cron": "0 7 * * *"}
            http.post("/api/v1/schedules", json=schedule | {"payload": {"seconds": 0}})
        yield api


async def enter(browser: Browser, api: Api, *, may_act: bool) -> Page:
    """A page of somebody who has opened a link; it collects what the browser complains about."""
    context = await browser.new_context(base_url=api.url)
    page = await context.new_page()
    await page.add_init_script(
        "window.blocked = []; document.addEventListener('securitypolicyviolation',"
        " event => window.blocked.push(event.blockedURI + event.violatedDirective))"
    )
    await page.goto(link(api, "alice" if may_act else "otto", may_act=may_act))
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    return page


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def actor(browser: Browser, large: Api) -> AsyncIterator[Page]:
    page = await enter(browser, large, may_act=True)
    yield page
    await page.context.close()


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def onlooker(browser: Browser, large: Api) -> AsyncIterator[Page]:
    page = await enter(browser, large, may_act=False)
    yield page
    await page.context.close()


async def done(page: Page, jobs: int) -> None:
    """The bulk action on this page has ended."""
    sentence = f"done {jobs:,} jobs changed"
    await expect(page.get_by_role("status")).to_contain_text(sentence, timeout=30_000)


def row(page: Page, text: str) -> Locator:
    return page.get_by_role("row").filter(has_text=text)


@BROWSED
async def test_five_thousand_failed_jobs_are_found_and_retried_while_the_queue_is_paused(
    actor: Page, large: Api
) -> None:
    page = actor
    await page.get_by_role("link", name="Dead letters", exact=True).click()
    await expect(page.locator("tbody tr")).to_have_count(CAUSES)
    # what stands in quotes is no part of a cause
    cause = "OSError: xxx" + HOSTILE.partition("'")[0]
    await row(page, cause).get_by_role("link").first.click()
    await expect(page.get_by_label("Text in the error")).to_have_value(cause)
    await expect(page.locator("tbody tr")).to_have_count(50)
    await page.get_by_role("link", name="Older").click()
    await expect(page.get_by_role("link", name="Newest")).to_be_visible()

    await page.goto("/console/")
    await row(page, "default").get_by_role("button", name="Pause").first.click()
    await expect(row(page, "paused").first).to_be_visible()
    await page.goto("/console/jobs?status=failed")
    await page.get_by_role("button", name="Change all that match").click()
    await expect(page.get_by_text("200 jobs or more match now")).to_be_visible()
    await page.get_by_role("button", name="Yes, begin").click()
    await done(page, FAILED)
    assert large.sql("SELECT count(*) FROM queue_ready")[0][0] == FAILED
    await page.goto("/console/jobs/bad-7")
    await expect(page.locator(".waiting")).to_contain_text("paused")
    await page.go_back()
    await page.get_by_role("button", name="Undo").click()
    await done(page, FAILED)
    await page.goto("/console/")
    await row(page, "default").get_by_role("button", name="Resume").first.click()
    await expect(row(page, "paused")).to_have_count(0)
    assert await page.evaluate("[window.pwned ?? null, window.blocked]") == [None, []]


@BROWSED
async def test_every_other_action_is_done_and_told(actor: Page, large: Api) -> None:
    page = actor
    await page.goto("/console/jobs/bad-1")
    await page.get_by_role("button", name="Retry").click()
    await expect(page.locator("h1 .state")).to_have_text("queued")
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.locator("h1 .state")).to_have_text("aborted")
    await page.get_by_text("Run again with another payload").click()
    await page.get_by_label("Payload, as JSON").fill("{}")
    await page.get_by_role("button", name="Enqueue").click()
    await expect(page.locator("h1 .state")).to_have_text("queued")

    await page.goto("/console/schedules")
    await row(page, "mornings").get_by_role("button", name="Disable").click()
    await expect(row(page, "mornings")).to_contain_text("disabled")
    await row(page, "mornings").get_by_role("button", name="Enable").click()
    await row(page, "mornings").get_by_role("button", name="Run now").click()
    await expect(page.locator("h1")).to_contain_text("sleep")
    await page.goto("/console/workers")
    await row(page, "host-").get_by_role("button", name="Drain").click()
    await expect(row(page, "host-").first).to_contain_text("drains")

    await page.get_by_role("link", name="Audit").click()
    for what in (
        "sign in", "pause queue", "bulk retry", "undo", "resume queue", "retry job", "cancel job",
        "enqueue hooked", "disable schedule", "enable schedule", "run schedule mornings", "drain",
    ):  # fmt: skip
        await expect(row(page, what).filter(has_text="alice").first).to_be_visible()
    assert await page.evaluate("[window.pwned ?? null, window.blocked]") == [None, []]


@pytest.fixture(scope="module")
def hostile(large: Api) -> str:
    """A failed job whose key, payload and error try to become markup."""
    return plant(large, "failed", {HOSTILE: [HOSTILE]}, f"Traceback\nRuntimeError: {HOSTILE}")


@BROWSED
@pytest.mark.parametrize(
    "seen",
    ["actor wide light", "onlooker wide dark", "onlooker narrow light", "actor narrow dark"],
)
async def test_every_page_fits_and_axe_finds_nothing(
    actor: Page, onlooker: Page, hostile: str, seen: str, tmp_path: Path
) -> None:
    role, size, scheme = seen.split()
    page = actor if role == "actor" else onlooker
    for name in (
        "", "jobs", "jobs?status=failed&payload=a%3D1", f"jobs/{quote(hostile, safe='')}",
        "dead-letters", "workers", "bulk", "bulk/1", "schedules", "tasks", "audit",
    ):  # fmt: skip
        await look(page, name, size, scheme, tmp_path)
        posts = page.locator("form[method=post]:not(.who)")
        assert (await posts.count() > 0) <= (role == "actor"), f"{role} sees buttons at {name}"
        assert await page.evaluate("[window.pwned ?? null, window.blocked]") == [None, []], name
