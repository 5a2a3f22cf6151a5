"""Bulk actions over HTTP, made by a real process of the API."""

import time
from typing import Any

import httpx
import pytest

from tests.service.api.api_process import Api, shared_processes, start_api

pytest_plugins = ["tests.service.api.conftest_api"]

PATH = "/api/v1/bulk-actions"


def plant_failed(api: Api, task: str, count: int) -> None:
    """Failed jobs of that task, which nobody else has, with a payload."""
    api.sql(
        """INSERT INTO saq_jobs (key, job, queue, status, task, error, attempts, lease, created_at,
                                 started_at, finished_at, is_bad, scheduled, expire_at)
        SELECT $1 || ':' || n, convert_to(json_build_object(
                   'function', $1::text, 'key', $1 || ':' || n, 'queue', 'default',
                   'kwargs', json_build_object('n', n), 'status', 'failed')::text, 'UTF8'),
               'default', 'failed', $1, 'RuntimeError: no', 1, 2, now() - interval '1 hour',
               now() - interval '1 minute', now() - interval '1 minute', TRUE, 1,
               extract(epoch FROM now())::bigint + 100000
        FROM generate_series(1, $2::int) AS n""",
        task, count,
    )  # fmt: skip


def ended(http: httpx.Client, number: int, *, seconds: float = 60) -> dict[str, Any]:
    """The bulk action once it has ended."""
    deadline = time.monotonic() + seconds
    while True:
        found: dict[str, Any] = http.get(f"{PATH}/{number}").json()
        if found["state"] != "running":
            return found
        assert time.monotonic() < deadline, found
        time.sleep(0.05)


def count(api: Api, task: str, status: str) -> int:
    sql = "SELECT count(*) FROM saq_jobs WHERE task = $1 AND status = $2"
    found: int = api.sql(sql, task, status)[0][0]
    return found


def test_all_that_a_filter_leaves_is_retried_and_undone(api: Api, http: httpx.Client) -> None:
    plant_failed(api, "bulk-a", 5)
    wanted = {"task": "bulk-a", "payload": ["n=3"]}
    answer = http.post(PATH, json={"action": "retry", "filter": wanted})
    assert answer.status_code == 202
    begun = answer.json()
    assert answer.headers["Location"] == f"{PATH}/{begun['id']}"
    assert begun["filter"] == {"status": "failed", **wanted}
    done = ended(http, begun["id"])
    assert (done["state"], done["changed"], done["percent"]) == ("done", 1, 100)
    assert count(api, "bulk-a", "queued") == 1

    undo = http.post(f"{PATH}/{begun['id']}/undo", json={"who": "ada"})
    assert undo.status_code == 202
    done = ended(http, undo.json()["id"])
    assert (done["undoes"], done["who"], done["changed"]) == (begun["id"], "ada", 1)
    assert count(api, "bulk-a", "failed") == 5
    again = http.post(f"{PATH}/{begun['id']}/undo", json={})
    assert (again.status_code, again.json()["detail"]) == (
        409, f"bulk action {begun['id']} is undone already.",
    )  # fmt: skip
    listed = http.get(PATH, params={"limit": 1}).json()
    assert [each["id"] for each in listed["items"]] == [done["id"]]
    older = http.get(PATH, params={"limit": 1, "cursor": listed["next_cursor"]}).json()
    assert [each["undone_by"] for each in older["items"]] == [done["id"]]
    rows = api.sql("SELECT who, what, target FROM console_actions WHERE bulk_action IS NOT NULL")
    assert ("ada", "undo", f"bulk action {begun['id']}") in [tuple(row) for row in rows]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"action": "explode", "filter": {"task": "a"}}, "action"),
        ({"action": "retry"}, "filter"),
        ({"action": "retry", "filter": {}}, "filter"),
        ({"action": "delete", "filter": {"payload": []}}, "filter"),
        ({"action": "retry", "filter": {"colour": "red"}}, "filter.colour"),
        ({"action": "retry", "filter": {"status": "queued"}}, "status"),
        ({"action": "retry", "filter": {"task": "a"}, "keys": ["a"]}, "keys"),
        ({"action": "retry", "keys": []}, "keys"),
        ({"action": "priority", "keys": ["a"]}, "priority"),
        ({"action": "retry", "filter": {"since": "soon"}}, "since"),
        ({"action": "retry", "filter": {"payload": ["password=x"]}}, "payload"),
        ({"action": "retry", "keys": ["a"], "who": ""}, "who"),
    ],
)
def test_wrong_requests_name_the_field(
    http: httpx.Client, body: dict[str, Any], field: str
) -> None:
    answer = http.post(PATH, json=body)
    assert answer.status_code in (400, 422), answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert http.get(f"{PATH}/999999").status_code == 404
    assert http.post(f"{PATH}/999999/stop", json={}).status_code == 404


def test_after_a_kill_another_process_goes_on_and_changes_no_job_twice(
    project: Any, postgres: str, template: str, tmp_path: Any
) -> None:
    jobs = 4000
    with shared_processes(project, postgres, template, tmp_path) as running:
        first = start_api(running)
        plant_failed(first, "bulk-b", jobs)
        with first.client() as http:
            begun = http.post(PATH, json={"action": "retry", "filter": {"task": "bulk-b"}}).json()
        while not (changed := count(first, "bulk-b", "queued")):
            time.sleep(0.002)
        first.process.kill()
        first.process.wait()
        assert changed < jobs
        first.sql("UPDATE bulk_actions SET leased_until = now()")  # its lease, twenty seconds later
        second = start_api(running)
        with second.client() as http:
            done = ended(http, begun["id"])
        assert (done["state"], done["changed"]) == ("done", jobs)
        leases = second.sql("SELECT status, lease, count(*) FROM saq_jobs GROUP BY 1, 2")
        assert [tuple(row) for row in leases] == [("queued", 3, jobs)], "each once"
