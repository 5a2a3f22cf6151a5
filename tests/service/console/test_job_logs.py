"""The log lines of a job on its page: read from CloudWatch by what the API may read."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import boto3
import httpx
import pytest
import pytest_asyncio
from moto.server import ThreadedMotoServer
from playwright.async_api import Browser, Page, expect

from service.console.job_logs import spans
from service.queue.attempts import Attempt
from service.queue.job import JobRecord
from tests.ports import free_port
from tests.service.api.api_process import Api, shared_processes, start_api
from tests.service.console.looking import look
from tests.service.console.test_console_pages import HOSTILE, SIZES, plant

pytest_plugins = ["tests.service.api.conftest_api"]

BROWSED = pytest.mark.asyncio(loop_scope="module")  # all by one browser
GROUPS = ("/ecs/shop-dev-api", "/ecs/shop-dev-worker")
AT = datetime(2026, 11, 28, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of a moto server of this module."""
    server = ThreadedMotoServer(port=free_port())
    server.start()
    _, port = server.get_host_and_port()
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def own_api(
    project: Path, postgres: str, template: str, endpoint: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Api]:  # fmt: skip
    """An API that may read the logs of two processes."""
    told = {
        "CONSOLE_LOG_GROUPS": ",".join(GROUPS),
        "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
    }  # fmt: skip
    with shared_processes(project, postgres, template, tmp_path_factory.mktemp("own")) as running:
        yield start_api(running, **told)


@pytest.fixture(scope="module")
def logged(own_api: Api, endpoint: str) -> str:
    """A job with a line of the API, two of a worker, and others' lines around it."""
    key = plant(own_api, "failed", {}, "RuntimeError: no")
    logs = boto3.client(
        "logs", endpoint_url=endpoint, region_name="eu-west-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    )  # fmt: skip
    said: dict[str, list[dict[str, object]]] = {
        GROUPS[0]: [
            {"event": "request", "path": f"/api/v1/jobs/{key}/retry"},
            {"event": "request", "path": "/api/v1/jobs/another"},
        ],
        GROUPS[1]: [
            {"event": "job started", "level": "info", "job_key": key, "attempt": 1},
            {"event": HOSTILE, "level": "error", "job_key": key, "token": "swordfish",
             "to": "amqp://a:hunter2222@h", "note": HOSTILE},
            {"event": f"quotes {key}", "job_key": "another"},
        ],
    }  # fmt: skip
    now = int(time.time() * 1000)
    for group, lines in said.items():
        process = group.rpartition("-")[2]
        stream = f"{process}/{process}/0123"
        logs.create_log_group(logGroupName=group)
        logs.create_log_stream(logGroupName=group, logStreamName=stream)
        events = [json.dumps(line) for line in lines] + ["plain text " + key]
        logs.put_log_events(
            logGroupName=group, logStreamName=stream,
            logEvents=[{"timestamp": now + n, "message": each} for n, each in enumerate(events)],
        )  # fmt: skip
    return key


@BROWSED
async def test_the_lines_stand_on_the_page_of_the_job(page: Page, logged: str) -> None:
    await page.goto(f"/console/jobs/{quote(logged, safe='')}")
    lines = page.get_by_role("region", name="Log lines", exact=True).locator("tbody tr")
    await expect(lines).to_have_count(3)
    text = " ".join(await lines.all_inner_texts())
    assert "job started attempt=1" in text
    assert f"note={HOSTILE}" in text
    assert "another" not in text
    assert "hunter2222" not in text
    assert "swordfish" not in text
    assert "token=[hidden]" in text
    command = f"moor logs --job {logged} --since 1h --stage local"
    await expect(page.get_by_text(command)).to_be_visible()
    assert await page.evaluate("window.pwned") is None


@BROWSED
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_their_own_page_fits_and_axe_finds_nothing(
    page: Page, logged: str, size: str, scheme: str, tmp_path: Path
) -> None:
    await look(page, f"jobs/{quote(logged, safe='')}/logs", size, scheme, tmp_path)


@pytest_asyncio.fixture(loop_scope="module")
async def page_without_script(browser: Browser, own_api: Api) -> Page:
    context = await browser.new_context(base_url=own_api.url, java_script_enabled=False)
    return await context.new_page()


@BROWSED
async def test_a_link_leads_to_them_without_javascript(
    page_without_script: Page, logged: str
) -> None:
    page = page_without_script
    await page.goto(f"/console/jobs/{quote(logged, safe='')}")
    await page.get_by_role("link", name="Show its log lines").click()
    await expect(page.locator("tbody tr")).to_have_count(3)
    await page.get_by_role("link", name=logged).click()
    await expect(page.locator("h1 .state")).to_have_text("failed")
    await page.context.close()


def test_where_they_cannot_be_read_it_says_why(http: httpx.Client, api: Api) -> None:
    key = plant(api, "failed", {}, "RuntimeError: no")
    page = http.get(f"/console/jobs/{quote(key, safe='')}/logs")
    assert page.status_code == 200
    assert "This API may not read logs" in page.text
    assert f"moor logs --job {key}" in page.text
    assert http.get("/console/jobs/nobody/logs").status_code == 404


def test_what_cloudwatch_refuses_is_said(own_api: Api, endpoint: str, logged: str) -> None:
    boto3.client(
        "logs", endpoint_url=endpoint, region_name="eu-west-1",
        aws_access_key_id="test", aws_secret_access_key="test",
    ).delete_log_group(logGroupName=GROUPS[1])  # fmt: skip
    with own_api.client() as client:
        page = client.get(f"/console/jobs/{quote(logged, safe='')}/logs?part=1")
    assert page.status_code == 200
    assert "CloudWatch refuses: ResourceNotFoundException." in page.text
    assert "<html" not in page.text


def test_days_of_waiting_are_not_searched() -> None:
    job = JobRecord(
        id=1, key="k", queue="default", task="t", status="failed", attempts=2, crashes=0,
        error=None, worker_id=None, created_at=AT, scheduled_at=AT,
        started_at=AT + timedelta(days=2), finished_at=AT + timedelta(days=2, hours=1),
    )  # fmt: skip
    attempts = [
        Attempt(
            attempt=number, worker_id="w", started_at=AT + timedelta(days=day),
            ended_at=AT + timedelta(days=day, hours=1), outcome="failed", error=None,
        )
        for number, day in ((1, 1), (2, 2))
    ]  # fmt: skip
    around = timedelta(seconds=30)
    assert spans(job, attempts) == [
        (AT - around, AT + around),
        (AT + timedelta(days=1) - around, AT + timedelta(days=1, hours=1) + around),
        (AT + timedelta(days=2) - around, AT + timedelta(days=2, hours=1) + around),
    ]
