"""API and worker as they run in production: two processes of one code base and one database."""

import json
import signal
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.conftest import OWN, Processes, until
from tests.ports import free_port
from tests.service.conftest import Ledger


@pytest.fixture
def api(processes: Processes) -> Iterator[httpx.Client]:
    """A client of an API process that has started."""
    with _start_api(processes) as client:
        yield client


def _start_api(processes: Processes, **environment: str) -> httpx.Client:
    port = str(free_port())
    processes.start("api", API_PORT=port, **environment)
    return httpx.Client(base_url=f"http://localhost:{port}", timeout=10)


async def _until_ready(client: httpx.Client) -> None:
    def is_ready() -> bool:
        try:
            return client.get("/health/ready").status_code == 200
        except httpx.TransportError:
            return False

    await until(is_ready, what="the API is ready")


async def _until_ended(client: httpx.Client, key: str) -> dict[str, Any]:
    def ended() -> dict[str, Any] | None:
        job: dict[str, Any] = client.get(f"/api/v1/jobs/{key}").raise_for_status().json()
        return job if job["status"] in ("complete", "failed", "aborted") else None

    job: dict[str, Any] = await until(ended, what=f"{key} has ended")
    return job


async def test_job_goes_from_http_to_the_worker_and_back(
    api: httpx.Client, processes: Processes, ledger: Ledger
) -> None:
    worker = processes.start("worker")
    await _until_ready(api)
    answer = api.post(
        "/notes",
        json={"message": "hello", "user_id": 7},
        headers={"X-Request-Id": "req-from-outside"},
    ).raise_for_status()
    key = answer.json()["job_id"]
    job = await _until_ended(api, key)
    assert job["status"] == "complete"
    assert job["result"] == {"message": "hello", "user_id": 7, "author": ""}
    assert (await ledger.tracked(key))["status"] == "complete"
    lines = [json.loads(line) for line in processes.log(worker).splitlines()]
    of_job = [line for line in lines if line.get("job_key") == key]
    assert [line["event"] for line in of_job] == ["job started", "note kept", "job complete"]
    # `moor logs --job KEY` follows a job by its key, from the process that took it in.
    of_job += [
        line
        for line in map(json.loads, processes.log(processes.started[0]).splitlines())
        if line.get("job_key") == key
    ]
    assert of_job[-1]["event"] == "enqueued"
    assert {line["request_id"] for line in of_job} == {"req-from-outside"}
    assert "hello" not in processes.log(worker), "no payload value at info level"


async def test_what_a_task_writes_is_there_once(
    api: httpx.Client, processes: Processes, ledger: Ledger
) -> None:
    processes.start("worker")
    await _until_ready(api)
    note = {"message": "It works."}
    key = api.post("/notes", json=note).raise_for_status().json()["job_id"]
    assert (await _until_ended(api, key))["status"] == "complete"
    rows = await ledger.pool.fetch("SELECT * FROM notes")
    assert [(row["job_key"], row["message"]) for row in rows] == [(key, "It works.")]


async def test_delayed_job_waits_for_its_time(
    api: httpx.Client, processes: Processes, ledger: Ledger
) -> None:
    processes.start("worker")
    await _until_ready(api)
    body = {"message": "later", "delay_seconds": 4}

    async def starts_within_three_seconds() -> bool:
        key = api.post("/notes", json=body).raise_for_status().json()["job_id"]
        assert api.get("/api/v1/queues/default").json()["scheduled"] >= 1
        job = await _until_ended(api, key)
        row = await ledger.tracked(key)
        assert job["status"] == "complete"
        waited: float = (row["started_at"] - row["created_at"]).total_seconds()
        assert waited >= 4
        return waited < 7

    await until(starts_within_three_seconds, seconds=40)


async def test_jobs_wait_while_no_worker_runs(api: httpx.Client, ledger: Ledger) -> None:
    await _until_ready(api)
    key = api.post("/notes", json={"message": "wait"}).raise_for_status().json()["job_id"]
    assert (await ledger.tracked(key))["status"] == "queued"
    assert api.get("/api/v1/queues/default").json()["queued"] == 1


async def test_api_finishes_the_request_in_flight_after_sigterm_and_exits_zero(
    api: httpx.Client, processes: Processes, ledger: Ledger
) -> None:
    await _until_ready(api)
    (child,) = processes.started
    child.send_signal(signal.SIGTERM)
    await until(lambda: child.poll() is not None, seconds=5, what="the API has ended")
    assert child.returncode == 0


async def test_worker_inside_the_api_process_runs_jobs_and_drains(
    processes: Processes, ledger: Ledger
) -> None:
    with _start_api(processes, WORKER_MODE="in-process") as api:
        await _until_ready(api)
        body = {"message": "inside"}
        key = api.post("/notes", json=body).raise_for_status().json()["job_id"]
        assert (await _until_ended(api, key))["status"] == "complete"
        slow = api.post("/api/v1/jobs", json={"task": "sleep", "payload": {"seconds": 2}})
        slow_key = slow.raise_for_status().json()["job_id"]
        await ledger.until_event("start")
        (child,) = processes.started
        child.send_signal(signal.SIGTERM)
        await until(lambda: child.poll() is not None, seconds=10, what="the process has ended")
        assert child.returncode == 0
        assert await ledger.status(slow_key) == "complete"


async def test_api_ends_with_a_worker_inside_it_that_cannot_start(processes: Processes) -> None:
    child = processes.start(
        "api", API_PORT=str(free_port()), WORKER_MODE="in-process", FAIL_AT_START="1"
    )
    await until(lambda: child.poll() is not None, what="the API has given up")
    assert child.returncode == 1
    assert "the start-up hook is broken" in processes.log(child)


async def test_hook_that_hangs_does_not_keep_the_api_after_sigterm(
    processes: Processes, ledger: Ledger
) -> None:
    with _start_api(processes, WORKER_MODE="in-process", HANG_AT_START="60"):
        await ledger.until_event("worker start")  # written by the hook before
        (child,) = processes.started
        child.send_signal(signal.SIGTERM)
        await until(lambda: child.poll() is not None, what="the process has ended")
        assert child.returncode == 0
        assert "api stopped" in processes.log(child)


async def test_worker_says_at_its_start_what_it_can_run(
    processes: Processes, ledger: Ledger
) -> None:
    worker = processes.start("worker")
    await ledger.until_event("worker start")
    lines = [json.loads(line) for line in processes.log(worker).splitlines()]
    (line,) = [line for line in lines if "schedules" in line]
    assert line["event"] == f"{len(line['tasks'])} tasks, 1 schedule"
    assert "sleep" in line["tasks"]
    assert line["schedules"] == ["count_notes"]


async def test_wrong_environment_stops_the_start_with_every_problem(processes: Processes) -> None:
    child = processes.start("api", STAGE="prod", WORKER_CONCURRENCY="0", LOG_LEVEL="loud")
    await until(lambda: child.poll() is not None, what="the API has given up")
    assert child.returncode == 2
    log = processes.log(child)
    for name in ("API_KEY: missing", "WORKER_CONCURRENCY: ", "LOG_LEVEL: "):
        assert name in log
    assert "Traceback" not in log


async def test_a_process_is_given_the_project_s_own_variables(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(OWN, "LOG_LEVEL", "loud")
    child = processes.start("worker")
    await until(lambda: child.poll() is not None, what="the worker has given up")
    assert "LOG_LEVEL: " in processes.log(child)
