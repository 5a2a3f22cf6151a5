"""SAQ's pages in a real browser, and over HTTP the requests that a browser does not make."""

import json
import uuid
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.conftest import until
from tests.service.api.api_process import UI_LOGIN, Api

pytest_plugins = ["tests.service.api.conftest_api"]

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser
IMAGE = "<img src=x onerror='window.pwned=true'>"


def enqueue(http: httpx.Client, **payload: Any) -> str:
    answer = http.post(
        "/api/v1/jobs",
        json={"task": "hooked", "payload": payload, "key": f"ui-{uuid.uuid4()}"},
    )
    key: str = answer.json()["job_id"]
    return key


def plant(api: Api, kwargs: object, **fields: object) -> str:
    """A job as somebody else's client would write it, with whatever it likes as kwargs."""
    key = f"planted-{uuid.uuid4()}"
    job = {"function": "hooked", "kwargs": kwargs, "queue": "default", "key": key, **fields}
    api.sql(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled)"
        " VALUES ($1, $2, 'default', $3, 0)",
        key,
        json.dumps(job).encode(),
        fields.get("status", "queued"),
    )
    return key


@BROWSED
async def test_the_first_page_shows_the_queue(page: Page) -> None:
    for path in ("/saq", "/saq/"):
        await page.goto(path)
        await expect(page.get_by_role("heading", name="Queues")).to_be_visible()
        await expect(page.get_by_role("link", name="default")).to_be_visible()
        # the style sheet was taken, too: without it the browser's own font is used
        assert "system-ui" in await page.evaluate("getComputedStyle(document.body).fontFamily")


@BROWSED
async def test_a_waiting_job_is_found_by_clicking_and_can_be_aborted(
    page: Page, own_api: Api
) -> None:
    http = own_api.client()
    key = enqueue(http)
    await page.goto("/saq/")
    await page.get_by_role("link", name="default").click()
    row = page.get_by_role("row").filter(has_text=key)
    await expect(row).to_contain_text("hooked")
    await expect(row).to_contain_text("queued")
    await row.get_by_text(key).click()
    await expect(page.get_by_role("heading", name=key)).to_be_visible()
    await page.get_by_role("button", name="Abort").click()
    await expect(page.get_by_role("cell", name="aborted", exact=True)).to_be_visible()
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "aborted"
    await page.get_by_role("button", name="Retry").click()
    await expect(page.get_by_role("cell", name="queued", exact=True)).to_be_visible()
    http.close()


@BROWSED
async def test_a_worker_is_shown_with_the_seconds_it_has_been_up(page: Page, own_api: Api) -> None:
    worker = own_api.processes.start("worker")
    try:
        with own_api.client() as http:
            shown = "/saq/api/queues/default"
            await until(lambda: http.get(shown).json()["queue"]["workers"], seconds=60)
        await page.goto("/saq/queues/default")
        seconds = page.locator("table").nth(1).locator("tbody td").last
        assert 0 < float(await seconds.inner_text()) < 120
    finally:
        worker.terminate()
        worker.wait(timeout=20)


@BROWSED
async def test_payloads_results_and_errors_stay_text(page: Page, own_api: Api) -> None:
    elements = {
        "sel": "script",
        "props": {"innerHTML": IMAGE},
        "attrs": {"onclick": "window.pwned=true"},
        "data": {"props": {"innerHTML": IMAGE}},
        "children": [IMAGE],
        "text": IMAGE,
    }
    waiting = plant(own_api, elements)
    ended = plant(own_api, elements, status="failed", result=elements, error=IMAGE, completed=1)
    await page.goto("/saq/queues/default")
    await expect(page.get_by_role("row").filter(has_text=waiting)).to_contain_text("innerHTML")
    for key in (waiting, ended):
        await page.goto(f"/saq/queues/default/jobs/{key}")
        await expect(page.locator("tbody")).to_contain_text("<img src=x")
    await expect(page.locator("p").last).to_have_text(IMAGE)
    assert await page.locator("img").count() == 0
    assert await page.evaluate("window.pwned") is None


@BROWSED
async def test_a_job_that_is_not_there_is_said_to_be_not_there(browser: Browser, api: Api) -> None:
    context = await browser.new_context(base_url=api.url)  # the browser complains about the 404
    page = await context.new_page()
    await page.goto("/saq/queues/default/jobs/nobody")
    await expect(page.locator("pre")).to_contain_text("nobody")
    await page.goto("/saq/queues/nowhere")
    await expect(page.locator("pre")).to_contain_text("nowhere")
    await context.close()


@BROWSED
async def test_the_pages_work_behind_their_password(browser: Browser, guarded_api: Api) -> None:
    user, password = UI_LOGIN
    context = await browser.new_context(
        base_url=guarded_api.url, http_credentials={"username": user, "password": password}
    )
    page = await context.new_page()
    await page.goto("/saq")
    await expect(page.get_by_role("link", name="default")).to_be_visible()
    await context.close()


@pytest.mark.parametrize(
    ("file", "media_type", "encoding"),
    [
        ("app.js", "text/javascript", None),
        ("snabbdom.js.gz", "text/javascript", "gzip"),
        ("pico.min.css.gz", "text/css", "gzip"),
    ],
)
def test_static_files_are_what_their_headers_say(
    http: httpx.Client, file: str, media_type: str, encoding: str | None
) -> None:
    answer = http.get(f"/saq/static/{file}")  # httpx unpacks it, or fails
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith(media_type)
    assert answer.headers.get("Content-Encoding") == encoding
    assert answer.text.isprintable() or "\n" in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/saq/api/queues/nowhere"),
        ("GET", "/saq/api/queues/nowhere/jobs/x"),
        ("GET", "/saq/api/queues/default/jobs/nobody"),
        ("POST", "/saq/api/queues/default/jobs/nobody/retry"),
        ("POST", "/saq/api/queues/default/jobs/nobody/abort"),
        ("POST", "/saq/api/queues/nowhere/jobs/x/abort"),
        ("GET", "/saq/static/nothing.js"),
        ("GET", "/saq/static/../app.py"),
        ("GET", "/saq/static/..%2f..%2fcommon.py"),
        ("GET", "/saq/static/%2fetc%2fpasswd"),
        ("GET", "/saq/static/" + "a" * 300),
        ("GET", "/saq/static"),
        ("GET", "/saq/elsewhere"),
    ],
)
def test_what_the_pages_do_not_have_is_404(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_a_button_that_does_not_fit_the_jobs_state_changes_nothing(http: httpx.Client) -> None:
    key = enqueue(http)
    base = f"/saq/api/queues/default/jobs/{key}"
    assert http.post(f"{base}/retry").status_code == 409
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "queued"
    assert http.post(f"{base}/abort").status_code == 202
    ended = http.get(f"/api/v1/jobs/{key}").json()
    assert http.post(f"{base}/abort").status_code == 409
    assert http.get(f"/api/v1/jobs/{key}").json() == ended
