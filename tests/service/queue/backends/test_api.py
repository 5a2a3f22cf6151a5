"""The API and a worker as processes, on each backend: the same requests, the same answers."""

import os
import time
from typing import Any

import boto3
import httpx
import pytest

from service.contract import JOB_BODY_MAX_BYTES, LARGE_PAYLOAD_MAX_BYTES
from service.settings import Settings
from tests.conftest import Processes
from tests.service.api.api_process import start_api
from tests.service.queue.backends.conftest import REGION

JOBS = "/api/v1/jobs"


@pytest.fixture
def environment(scheme: str, settings: Settings) -> dict[str, str]:
    """The environment of the processes of this backend."""
    variables = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}  # noqa: TID251
    variables |= {"QUEUE_DSN": settings.queue_url, "DRAIN_SECONDS": "2"}
    return variables | ({"WORKER_MODE": "in-process"} if scheme == "memory" else {})


def when(http: httpx.Client, path: str, status: str) -> dict[str, Any]:
    """The job once it has that status."""
    deadline = time.monotonic() + 30
    while True:
        job: dict[str, Any] = http.get(path).json()
        if job["status"] == status:
            return job
        assert time.monotonic() < deadline, job
        time.sleep(0.05)


def test_the_api_answers_alike(
    scheme: str, processes: Processes, environment: dict[str, str]
) -> None:
    api = start_api(processes, **environment)
    if scheme != "memory":
        processes.start("worker", **environment)
    with api.client() as http:
        assert http.get("/health/ready").json()["parts"]["queue"] == "ready", api.log()

        sent = http.post(JOBS, json={"task": "fail", "payload": {"times": 1}, "key": "a/b"})
        assert sent.status_code == 202, sent.text
        done = when(http, sent.headers["Location"], "complete")
        assert (done["result"], done["attempts"], done["payload"]) == (
            "worked at last", 2, {"times": 1, "text": "broken"},
        )  # fmt: skip
        retried = http.post(f"{sent.headers['Location']}/retry")
        assert retried.status_code == 202, retried.text
        when(http, sent.headers["Location"], "complete")

        wrong = http.post(JOBS, json={"task": "fail", "payload": {"times": "x"}})
        assert wrong.status_code == 422
        assert wrong.json()["errors"][0]["field"] == "payload.times"
        urgent = http.post(JOBS, json={"task": "sleep", "payload": {"seconds": 0}, "priority": 3})
        if scheme in ("redis", "sqs"):
            assert urgent.status_code == 422
            assert urgent.json()["errors"][0]["field"] == "priority"
        else:
            assert urgent.status_code == 202

        late = {"task": "sleep", "payload": {"seconds": 0}, "key": "late", "delay": 3600}
        assert http.post(JOBS, json=late).status_code == 202
        assert http.post(JOBS, json=late).json()["created"] is False
        assert http.get("/api/v1/queues/default").json()["scheduled"] == 1
        assert http.post(f"{JOBS}/late/cancel").json()["status"] == "aborted"
        assert http.post(f"{JOBS}/late/cancel").status_code == 409
        aborted = http.get(JOBS, params={"status": "aborted"}).json()["items"]
        assert [each["job_id"] for each in aborted] == ["late"]
        with http.stream("GET", f"{JOBS}/late/events") as events:
            assert any("event: aborted" in line for line in events.iter_lines())

        nap = {"name": "nap", "task": "sleep", "payload": {"seconds": 0}, "every": "1 second"}
        made = http.post("/api/v1/schedules", json=nap)
        assert made.status_code == 201, made.text
        deadline = time.monotonic() + 30
        while http.get("/api/v1/schedules/nap").json()["last_status"] != "complete":
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert http.post("/api/v1/schedules/nap/disable").json()["enabled"] is False
        assert http.delete("/api/v1/schedules/nap").status_code == 204
        assert http.get("/saq/api/queues").status_code == 200
    processes.stop_all()
    assert "Traceback" not in api.log()
    assert all("Traceback" not in processes.log(each) for each in processes.started)


def test_a_worker_of_its_own_cannot_share_memory(processes: Processes) -> None:
    worker = processes.start("worker", QUEUE_DSN="memory://")
    assert worker.wait(20) == 2
    assert "QUEUE_DSN: memory:// is a queue within the API" in processes.log(worker)
    api = processes.start("api", QUEUE_DSN="memory://")
    assert api.wait(20) == 2
    assert "WORKER_MODE: must be in-process" in processes.log(api)


def test_a_large_payload_is_taken_and_shown_by_its_key(
    aws: object, processes: Processes, environment: dict[str, str]
) -> None:
    bucket = f"api-{time.monotonic_ns()}"
    boto3.client("s3", region_name=REGION).create_bucket(Bucket=bucket)
    environment |= {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}  # noqa: TID251
    environment |= {"BUCKET": bucket, "AWS_REGION": REGION, "WORKER_MODE": "in-process"}
    with start_api(processes, **environment).client() as http:
        payload = {"times": 0, "text": "x" * 300_000}
        sent = http.post(JOBS, json={"task": "fail", "payload": payload})
        assert sent.status_code == 202, sent.text
        done = when(http, sent.headers["Location"], "complete")
        assert (done["payload"], done["payload_object"][:9]) == (None, "payloads/")

        payload["text"] = "x" * LARGE_PAYLOAD_MAX_BYTES
        refused = http.post(JOBS, json={"task": "fail", "payload": payload})
        assert refused.status_code == 413
        assert refused.json()["errors"][0]["field"] == "payload"
        payload["text"] = "x" * JOB_BODY_MAX_BYTES
        refused = http.post(JOBS, json={"task": "fail", "payload": payload})
        assert refused.status_code == 413
        assert str(JOB_BODY_MAX_BYTES) in refused.json()["detail"]
