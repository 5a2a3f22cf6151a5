"""Jobs over HTTP, against a real process and a real Postgres."""

import uuid
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.conftest import Processes, until
from tests.service.api.api_process import Api, start_api

pytest_plugins = ["tests.service.api.conftest_api"]


def enqueue(http: httpx.Client, **job: Any) -> str:
    answer = http.post("/api/v1/jobs", json={"task": "hooked", **job})
    assert answer.status_code == 202, answer.text
    job_id: str = answer.json()["job_id"]
    return job_id


@pytest.mark.parametrize(
    ("path", "body", "payload"),
    [
        ("/notes", {"message": "hi"}, {"message": "hi", "user_id": None, "author": ""}),
        (
            "/notes",
            {"message": "later", "author": "Ada", "delay_seconds": 60},
            {"message": "later", "user_id": None, "author": "Ada"},
        ),
        (
            "/notes",
            {"message": "ping", "user_id": "42"},
            {"message": "ping", "user_id": "42", "author": ""},
        ),
        (
            "/api/v1/jobs",
            {"task": "keep_note", "payload": {"message": "ping", "user_id": 7}},
            {"message": "ping", "user_id": 7, "author": ""},
        ),
    ],
)
def test_every_enqueue_route_answers_with_where_its_job_is(
    http: httpx.Client, path: str, body: dict[str, Any], payload: dict[str, Any]
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == 202
    assert answer.json()["status"] == "queued"
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json()['job_id']}"
    job = http.get(answer.headers["Location"]).json()
    assert (job["job_id"], job["task"], job["status"]) == (
        answer.json()["job_id"],
        "keep_note",
        "queued",
    )
    assert job["payload"] == payload
    assert job["created_at"].endswith("Z")


def test_a_delayed_job_is_scheduled_and_not_due(http: httpx.Client) -> None:
    before = http.get("/api/v1/queues/default").json()
    http.post("/notes", json={"message": "later", "delay_seconds": 3600})
    after = http.get("/api/v1/queues/default").json()
    assert after["scheduled"] == before["scheduled"] + 1
    assert after["queued"] == before["queued"]


def test_a_queue_is_paused_and_resumed(http: httpx.Client) -> None:
    for step, paused in (("pause", True), ("pause", True), ("resume", False), ("resume", False)):
        answer = http.post(f"/api/v1/queues/default/{step}")
        assert (answer.status_code, answer.json()["paused"]) == (200, paused)
        assert http.get("/api/v1/queues").json()["items"][0]["paused"] is paused
    for answer in (http.get("/api/v1/queues/mail"), http.post("/api/v1/queues/mail/pause")):
        assert answer.status_code == 404
        assert answer.json()["detail"].startswith("no worker serves a queue 'mail'; there is def")


def test_jobs_are_listed_by_their_queue(http: httpx.Client) -> None:
    job_id = enqueue(http)
    listed = http.get("/api/v1/jobs", params={"queue": "default"}).json()["items"]
    assert job_id in {job["job_id"] for job in listed}
    assert http.get("/api/v1/jobs", params={"queue": "mail"}).json()["items"] == []


def test_a_second_request_with_the_key_of_a_waiting_job_enqueues_nothing(
    http: httpx.Client,
) -> None:
    key = f"once-{uuid.uuid4()}"
    body = {"task": "hooked", "key": key}
    first, second = (http.post("/api/v1/jobs", json=body) for _ in range(2))
    assert (first.status_code, first.json()["created"]) == (202, True)
    assert (second.status_code, second.json()["created"]) == (200, False)
    assert first.json()["job_id"] == second.json()["job_id"] == key
    other = http.post(
        "/api/v1/jobs", json={"task": "keep_note", "payload": {"message": ""}, "key": key}
    )
    assert other.json() == {"job_id": key, "task": "hooked", "status": "queued", "created": False}


def test_the_key_of_an_ended_job_can_be_used_again(http: httpx.Client) -> None:
    key = f"again-{uuid.uuid4()}"
    enqueue(http, key=key)
    http.post(f"/api/v1/jobs/{key}/cancel")
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "aborted"
    enqueue(http, key=key)
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "queued"


def test_options_of_a_request_reach_its_job(api: Api, http: httpx.Client) -> None:
    key = enqueue(http, timeout=7, retries=9, ttl=77, priority=3, delay=50, retry_delay=2)
    (row,) = api.sql("SELECT job, priority FROM saq_jobs WHERE key = $1", key)
    for text in (b'"timeout":7', b'"retries":9', b'"ttl":77', b'"retry_delay":2'):
        assert text in row["job"]
    assert row["priority"] == 3


def test_a_payload_field_named_like_a_job_option_reaches_the_task(http: httpx.Client) -> None:
    payload = {"key": "k", "timeout": 5, "connection": "c", "queue": "x", "status": "y"}
    answer = http.post("/api/v1/jobs", json={"task": "awkward_names", "payload": payload})
    assert http.get(answer.headers["Location"]).json()["payload"] == payload
    assert answer.json()["job_id"] != "k"


@pytest.mark.parametrize(
    "name",
    [
        "a/b",
        "/leading",
        "trailing/",
        "a//b",
        "what?#not",
        "100%",
        "%2F",
        "%252F",
        "a b+c",
        "käse-ü-日本",
        "..",
        "x/../y",
        "cancel",
        "x/cancel",
        "tab\tand\nnewline",
        "'; DROP TABLE saq_jobs; --",
        "😀" * 50,
        "k" * 150,
    ],
)
def test_a_key_may_hold_any_character(http: httpx.Client, name: str) -> None:
    key = f"{uuid.uuid4()}{name}"
    answer = http.post("/api/v1/jobs", json={"task": "hooked", "key": key})
    location = answer.headers["Location"]
    assert location == f"/api/v1/jobs/{quote(key, safe='')}"
    assert http.get(location).json()["job_id"] == key
    assert http.post(f"{location}/cancel").json() == {"job_id": key, "status": "aborted"}
    assert http.post(f"{location}/retry").json() == {"job_id": key, "status": "queued"}


def test_pages_hold_every_job_once_and_newest_first(http: httpx.Client) -> None:
    keys = [enqueue(http, key=f"page-{uuid.uuid4()}") for _ in range(7)]
    found: list[str] = []
    cursor = None
    while len(found) < 7:
        page = http.get(
            "/api/v1/jobs", params={"limit": 3} | ({"cursor": cursor} if cursor else {})
        ).json()
        assert len(page["items"]) == 3
        found += [job["job_id"] for job in page["items"]]
        cursor = page["next_cursor"]
        enqueue(http)  # newer jobs must not shift the older pages
    assert found[:7] == keys[::-1]


def test_the_last_page_has_no_cursor(http: httpx.Client) -> None:
    page = http.get("/api/v1/jobs", params={"task": "no such task"}).json()
    assert page == {"items": [], "next_cursor": None, "searched_until": None}


def test_jobs_are_listed_by_status_and_task(http: httpx.Client) -> None:
    key = enqueue(http, task="sleep", payload={"seconds": 1})
    http.post(f"/api/v1/jobs/{key}/cancel")
    page = http.get("/api/v1/jobs", params={"status": "aborted", "task": "sleep"}).json()
    assert key in [job["job_id"] for job in page["items"]]
    assert {(job["status"], job["task"]) for job in page["items"]} == {("aborted", "sleep")}


def test_filters_of_a_list_combine(http: httpx.Client) -> None:
    mark = str(uuid.uuid4())
    payload = {"message": mark, "user_id": 7}
    for name, fields in (("a", payload), ("b", payload | {"user_id": 8})):
        enqueue(http, task="keep_note", payload=fields, key=f"{name}-{mark}")
    http.post(f"/api/v1/jobs/a-{mark}/cancel")
    at = http.get(f"/api/v1/jobs/b-{mark}").json()["created_at"]

    def found(query: str) -> set[str]:
        answer = http.get(f"/api/v1/jobs?{query}")
        assert answer.status_code == 200, answer.text
        return {job["job_id"] for job in answer.json()["items"]} & {f"a-{mark}", f"b-{mark}"}

    both = f"payload=message={mark}"
    assert found(both) == {f"a-{mark}", f"b-{mark}"}
    assert found(f"{both}&payload=user_id%3D7") == {f"a-{mark}"}
    assert found(f"{both}&status=queued&task=keep_note&queue=default") == {f"b-{mark}"}
    assert found(f"key=a-{mark}") == found(f"key=a-{mark[:20]}*") == {f"a-{mark}"}
    assert found(f"{both}&error=cancelled through") == {f"a-{mark}"}
    assert found(f"{both}&since={at}") == {f"b-{mark}"}
    assert found(f"{both}&until={at}") == {f"a-{mark}"}
    assert found(f"{both}&since={at.replace('Z', '+00:00')}&until=2100-01-01") == {f"b-{mark}"}
    assert found(f"{both}&worker=nobody") == set()


def test_a_job_says_why_it_waits(http: httpx.Client) -> None:
    first = enqueue(http, group_key="shop", delay=3600)
    found = http.get(f"/api/v1/jobs/{first}").json()["waiting_for"]
    assert (found["code"], found["job_id"]) == ("not_due", None)
    assert found["message"].startswith("It is due at 20")
    second = enqueue(http)
    found = http.get(f"/api/v1/jobs/{second}").json()["waiting_for"]
    assert found["code"] == "no_worker"
    http.post(f"/api/v1/jobs/{second}/cancel")
    assert http.get(f"/api/v1/jobs/{second}").json()["waiting_for"] is None


def test_cancel_ends_a_waiting_job_once(http: httpx.Client) -> None:
    key = enqueue(http)
    assert http.post(f"/api/v1/jobs/{key}/cancel").status_code == 202
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "aborted"
    again = http.post(f"/api/v1/jobs/{key}/cancel")
    assert again.status_code == 409
    assert "aborted" in again.json()["detail"]


def test_retry_is_refused_until_the_job_has_ended(http: httpx.Client) -> None:
    key = enqueue(http)
    refused = http.post(f"/api/v1/jobs/{key}/retry")
    assert refused.status_code == 409
    assert "queued" in refused.json()["detail"]
    assert http.get(f"/api/v1/jobs/{key}").json()["status"] == "queued"


def test_retry_is_refused_when_the_payload_is_no_longer_kept(api: Api, http: httpx.Client) -> None:
    key = enqueue(http)
    http.post(f"/api/v1/jobs/{key}/cancel")
    api.sql("DELETE FROM saq_jobs WHERE key = $1", key)
    job = http.get(f"/api/v1/jobs/{key}").json()
    assert (job["status"], job["is_kept"], job["payload"]) == ("aborted", False, None)
    refused = http.post(f"/api/v1/jobs/{key}/retry")
    assert refused.status_code == 409
    assert "no longer kept" in refused.json()["detail"]


@pytest.mark.parametrize("method", ["POST", "DELETE"])
def test_a_name_that_no_task_and_no_job_ever_had_is_not_found(
    http: httpx.Client, method: str
) -> None:
    answer = change_failed(http, method, "no_such_task")
    assert answer.status_code == 404, answer.text
    assert [error["field"] for error in answer.json()["errors"]] == ["task"]
    for task in (None, "hooked"):
        answer = change_failed(http, method, task)
        assert answer.is_success, answer.text


@pytest.mark.parametrize(("method", "changed"), [("POST", "retried"), ("DELETE", "cleared")])
def test_failed_jobs_of_a_task_that_is_no_more_can_be_retried_and_cleared(
    api: Api, http: httpx.Client, method: str, changed: str
) -> None:
    key = enqueue(http)
    api.sql("UPDATE saq_jobs SET task = 'was_removed', status = 'failed' WHERE key = $1", key)
    for count in (1, 0):
        answer = change_failed(http, method, "was_removed")
        assert answer.is_success, answer.text
        assert answer.json() == {changed: count, "is_more": False}


def change_failed(http: httpx.Client, method: str, task: str | None) -> httpx.Response:
    """Retry the failed jobs of a task, or clear them."""
    given = {"task": task} if task else {}
    if method == "POST":
        return http.post("/api/v1/jobs/retry", json=given)
    return http.delete("/api/v1/jobs", params={"status": "failed"} | given)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/v1/jobs/nobody"),
        ("POST", "/api/v1/jobs/nobody/cancel"),
        ("POST", "/api/v1/jobs/nobody/retry"),
        ("GET", "/api/v1/jobs/%ff"),
        ("GET", "/api/v1/queues/nobody"),
    ],
)
def test_what_does_not_exist_is_404(http: httpx.Client, method: str, path: str) -> None:
    answer = http.request(method, path)
    assert answer.status_code == 404
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_tasks_are_listed_with_their_options_and_payload_schema(http: httpx.Client) -> None:
    tasks = {task["name"]: task for task in http.get("/api/v1/tasks").json()["items"]}
    assert tasks["keep_note"]["payload_schema"]["required"] == ["message"]
    assert tasks["keep_note"]["retries"] == 5
    assert tasks["count_notes"]["schedule"] == {
        "cron": "0 * * * *", "every": None, "tz": "UTC",
    }  # fmt: skip


def test_queues_are_listed(http: httpx.Client) -> None:
    (queue,) = http.get("/api/v1/queues").json()["items"]
    assert queue["name"] == "default"
    assert {"queued", "scheduled", "active", "workers", "oldest_due_seconds"} <= queue.keys()


async def test_a_job_travels_to_a_worker_and_back_with_its_request_id(
    processes: Processes,
) -> None:
    api = start_api(processes)
    worker = processes.start("worker", LOG_FORMAT="json")
    with api.client() as http:
        answer = http.post(
            "/notes?token=of-the-query",
            json={"message": "ping", "user_id": 7},
            headers={"X-Request-Id": "trace-4711"},
        )

        def ended() -> Any:
            job = http.get(answer.headers["Location"]).json()
            return job if job["status"] == "complete" else None

        job = await until(ended, what="the job to complete")
    assert job["result"] == {"message": "ping", "user_id": 7, "author": ""}
    assert (job["attempts"], job["progress"], job["error"]) == (1, 100, None)
    assert answer.headers["X-Request-Id"] == "trace-4711"
    assert (job["request_id"], job["request"]) == ("trace-4711", "POST /notes")
    assert (job["parent_job_id"], job["children"]) == (None, [])
    await until(lambda: "trace-4711" in processes.log(worker), what="the worker's log")


async def test_an_api_with_a_worker_inside_runs_jobs_and_stops_cleanly(
    processes: Processes,
) -> None:
    api = start_api(processes, WORKER_MODE="in-process")
    with api.client() as http:
        answer = http.post("/notes", json={"message": "hi"})
        await until(
            lambda: http.get(answer.headers["Location"]).json()["status"] == "complete",
            what="the job to complete",
        )
    api.process.terminate()
    assert api.process.wait(10) == 0
