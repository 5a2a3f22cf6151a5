"""The pages of the console in a real browser: what they show, and that all of it stays text."""

import html
import json
import re
import time
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote
from zoneinfo import ZoneInfo

import httpx
import pytest
from playwright.async_api import Page, expect

from tests.scripts.conftest import ROOT
from tests.service.api.api_process import Api, shared_processes, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser
HOSTILE = "<img src=x onerror='window.pwned=1'>\"'&{{7*7}}"
AXE = ROOT / "node_modules" / "axe-core" / "axe.min.js"
SIZES = {"wide": (1280, 900), "narrow": (390, 800)}


def plant(api: Api, status: str, kwargs: dict[str, object], error: str = "") -> str:
    """A job in that state, as the queue would have it."""
    key = f"console/%41/{uuid.uuid4()}"
    job = {"function": "hooked", "kwargs": kwargs, "queue": "default", "key": key, "status": status}
    api.sql(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled, task, error, attempts,"
        " created_at, started_at, finished_at, expire_at, is_bad)"
        " VALUES ($1, $2, 'default', $3, 0, 'hooked', $4, 1, clock_timestamp() - INTERVAL '70 s',"
        " clock_timestamp() - INTERVAL '65 s',"
        " CASE WHEN $3 IN ('failed', 'complete') THEN clock_timestamp() - INTERVAL '5 s' END,"
        " extract(epoch FROM clock_timestamp())::bigint + 3600, $3 = 'failed')",
        key, json.dumps(job).encode(), status, error or None,
    )  # fmt: skip
    return key


def plant_worker(api: Api, name: str, *, can_drain: bool = True) -> None:
    """A worker that lives for an hour."""
    api.sql(
        "INSERT INTO queue_workers (id, queue, expires_at, queues, pool, release, slots, can_drain)"
        " VALUES ($1, 'default', clock_timestamp() + INTERVAL '1 h', '{default,reports}',"
        " 'reports', 'shop-prod-worker:7', 10, $2)",
        name, can_drain,
    )  # fmt: skip


@pytest.fixture(scope="module")
def failed(own_api: Api) -> str:
    """A failed job, all of whose texts try to become markup."""
    trace = f'Traceback (most recent call last):\n  File "x.py"\nRuntimeError: {HOSTILE}'
    return plant(own_api, "failed", {HOSTILE: [HOSTILE]}, trace)


@BROWSED
async def test_one_look_says_whether_it_is_well(page: Page, own_api: Api, failed: str) -> None:
    await page.goto("/console/")
    await expect(page.get_by_role("heading", name="Overview")).to_be_visible()
    await expect(page.get_by_text("All queues are well.")).to_be_visible()
    # what stands in quotes is no part of a cause
    cause = "RuntimeError: " + HOSTILE.partition("'")[0]
    row = page.get_by_role("row").filter(has_text=cause)
    await expect(row).to_contain_text("hooked")
    with own_api.client() as client:
        client.post("/api/v1/jobs", json={"task": "hooked", "payload": {}})
    # without a reload
    await expect(page.get_by_text("No worker serves queue default")).to_be_visible(timeout=15_000)
    assert await page.evaluate("window.pwned") is None


@BROWSED
async def test_charts_show_what_workers_have_ended(page: Page, own_api: Api) -> None:
    own_api.sql(
        "INSERT INTO queue_minutes SELECT date_trunc('minute', clock_timestamp())"
        " - n * INTERVAL '1 min', 'a', 100 + n, n % 3, 0 FROM generate_series(0, 30) AS n"
    )
    await page.goto("/console/")
    hour = page.get_by_role("img", name="Last hour: 3565 complete, 30 failed")
    await expect(hour).to_be_visible(timeout=15_000)
    await expect(hour.locator("g")).to_have_count(31)
    share = page.get_by_text("% of the jobs that ended within an hour failed.")
    await expect(share).to_have_count(0)  # less than one in a hundred
    own_api.sql("UPDATE queue_minutes SET failed = 10 * failed")
    await expect(share).to_contain_text("8 %", timeout=15_000)


@BROWSED
async def test_a_job_is_found_by_its_filter_and_read_whole(page: Page, failed: str) -> None:
    await page.goto("/console/")
    await page.get_by_role("link", name="Jobs").first.click()
    await page.get_by_label("State").select_option("failed")
    await page.get_by_role("button", name="Show").click()
    assert "status=failed" in page.url
    await page.get_by_role("link", name=failed).click()
    await expect(page.get_by_role("heading", name="hooked")).to_be_visible()
    moments = page.locator(".moments li")
    await expect(moments).to_have_count(3)
    await expect(moments.nth(0)).to_contain_text("waited 5 s")
    await expect(moments.nth(1)).to_contain_text("ran 1 min")
    await expect(page.locator("pre").first).to_contain_text(f"RuntimeError: {HOSTILE}")
    await expect(page.get_by_role("region", name="Payload")).to_contain_text("onerror")
    assert await page.evaluate("window.pwned") is None


@BROWSED
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_pages_fit_the_screen(
    page: Page, failed: str, size: str, scheme: str, tmp_path: Path
) -> None:
    width, height = SIZES[size]
    await page.set_viewport_size({"width": width, "height": height})
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for name in ("", "jobs", f"jobs/{quote(failed, safe='')}", "schedules", "tasks", "audit"):
        await page.goto(f"/console/{name}")
        await page.screenshot(path=tmp_path / f"{size}-{scheme}-{name[:9].strip('/')}.png")
        # tables may be wider, and are moved by themselves
        over = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
        assert await page.evaluate(over) == 0, name


@BROWSED
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing_to_mend(page: Page, failed: str, scheme: str) -> None:
    """Names of controls, contrast, order of headings and the like: https://www.deque.com/axe."""
    await page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for name in (
        "", "jobs", f"jobs/{quote(failed, safe='')}",
        "schedules", "tasks", "audit", "sign-in",
    ):  # fmt: skip
        await page.goto(f"/console/{name}")
        await page.evaluate(AXE.read_text())
        found = await page.evaluate("axe.run().then(found => found.violations)")
        said = [(each["id"], [node["html"] for node in each["nodes"]]) for each in found]
        assert said == [], name


@BROWSED
async def test_it_can_be_used_by_keyboard_alone(page: Page, failed: str) -> None:
    await page.goto("/console/jobs")
    await page.keyboard.press("Tab")
    await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    for _ in range(2):
        await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.get_by_role("heading", name="Jobs")).to_be_visible()


def test_secrets_of_a_job_are_hidden(http: httpx.Client, api: Api) -> None:
    address = "postgresql://app:hunter2222@db/x"
    key = plant(api, "failed", {"password": "swordfish", "to": address}, f"OSError: {address}")
    job_path = f"/console/jobs/{quote(key, safe='')}"
    for page, hidden in (("/console/", "postgresql://app:…@db/x"), (job_path, "[hidden]")):
        text = http.get(page).text
        assert "hunter2222" not in text
        assert "swordfish" not in text
        assert hidden in text


def test_wrong_addresses_get_a_page_that_says_so(http: httpx.Client) -> None:
    for path, status, text in (
        ("/console/jobs?payload=x", 422, "payload: is not a path and a value"),
        ("/console/jobs?since=soon", 422, "since: &#39;soon&#39; is no time"),
        ("/console/jobs?payload=password%3Dx", 422, "is hidden where jobs are shown"),
        ("/console/jobs?status=lost", 422, "status: is none of"),
        ("/console/jobs?cursor=x", 422, "cursor: is not one"),
        ("/console/jobs/nobody", 404, "There is no job <code>nobody</code>"),
        ("/console/nothing", 404, ""),
        ("/console/static/../pages.py", 404, ""),
    ):
        answer = http.get(path)
        assert answer.status_code == status, path
        assert text in answer.text


def test_a_page_is_small(http: httpx.Client) -> None:
    files = [http.get(f"/console/static/console.{kind}").content for kind in ("css", "js")]
    assert sum(map(len, files)) < 100_000
    assert http.get("/console/static/console.css").headers["Cache-Control"].startswith("private")


def test_filters_combine_and_stay_in_the_address(http: httpx.Client, api: Api) -> None:
    key = plant(api, "failed", {"user": {"id": 7}}, "RuntimeError: of the filters")
    other = plant(api, "failed", {"user": {"id": 8}}, "RuntimeError: of the filters")
    today = datetime.now(UTC)
    for query, found in (
        ("error=of+the+filters&payload=user.id%3D7", {key}),
        ("error=of+the+filters", {key, other}),
        ("key=console/*&payload=user.id%3D8", {other}),
        (f"key={quote(key)}", {key}),
        (f"error=of+the+filters&until={today - timedelta(days=1):%Y-%m-%dT%H:%M}", set()),
        (f"error=of+the+filters&since={today - timedelta(days=1):%Y-%m-%dT%H:%M}", {key, other}),
        ("error=of+the+filters&worker=nobody", set()),
    ):
        page = http.get(f"/console/jobs?{query}").text
        assert {each for each in (key, other) if each in page} - {key} == found - {key}, query
        assert (f">{key}</a>" in page) == (key in found), query
    assert 'value="of the filters"' in http.get("/console/jobs?error=of+the+filters").text


def test_a_schedule_shows_its_next_ten_ticks(http: httpx.Client) -> None:
    schedule = {"name": "mornings", "task": "hooked", "cron": "0 7 * * *", "tz": "Europe/Berlin"}
    assert http.post("/api/v1/schedules", json=schedule).status_code == 201
    page = http.get("/console/schedules").text
    _, _, row = page.partition(">mornings")
    ticks = re.findall(r'<time datetime="([^"]+)" data-exact', row.partition("</ol>")[0])
    found = [datetime.fromisoformat(each).astimezone(ZoneInfo("Europe/Berlin")) for each in ticks]
    assert len(found) == 10
    assert {(each.hour, each.minute) for each in found} == {(7, 0)}
    assert found == sorted(set(found))
    http.post("/api/v1/schedules/mornings/disable")
    _, _, row = http.get("/console/schedules").text.partition(">mornings")
    assert "data-exact" not in row.partition("</tr>")[0]
    http.delete("/api/v1/schedules/mornings")


def test_an_open_overview_does_not_hold_up_the_end_of_the_api(
    project: Path, postgres: str, template: str, tmp_path: Path
) -> None:
    with shared_processes(project, postgres, template, tmp_path) as running:
        api = start_api(running)
        with api.client() as client, client.stream("GET", "/console/live") as stream:
            assert "event: part" in next(stream.iter_text())
            began = time.monotonic()
            api.process.terminate()
            assert api.process.wait(20) == 0
            assert time.monotonic() - began < 3


def test_a_waiting_job_says_why(http: httpx.Client) -> None:
    made = http.post("/api/v1/jobs", json={"task": "hooked", "payload": {}, "delay": 3600}).json()
    page = http.get(f"/console/jobs/{made['job_id']}").text
    assert "<strong>It waits:</strong>" in page
    detail = http.get(f"/api/v1/jobs/{made['job_id']}").json()
    assert (
        html.escape(detail["waiting_for"]["message"], quote=True).replace("&#x27;", "&#39;") in page
    )
