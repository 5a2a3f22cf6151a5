"""The example domain: its routes enqueue, and its tasks do what they say."""

from typing import Any

import httpx
import pytest

from service.queue import Registry
from tests.domain.domain_worker import working

pytest_plugins = ["tests.service.api.conftest_api"]


@pytest.mark.parametrize(
    ("path", "body", "task", "payload"),
    [
        ("/queue/example", {"message": "hi"}, "example_task", {"message": "hi"}),
        (
            "/queue/delayed",
            {"message": "later", "delay_seconds": 60},
            "example_task",
            {"message": "later"},
        ),
        (
            "/api/v1/tasks/trigger-test",
            {"message": "ping", "user_id": "42"},
            "test_task",
            {"message": "ping", "user_id": "42", "project_id": None},
        ),
    ],
)
def test_each_route_enqueues_its_task(
    http: httpx.Client, path: str, body: dict[str, Any], task: str, payload: dict[str, Any]
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == 202, answer.text
    job = http.get(answer.headers["Location"]).json()
    assert (job["task"], job["status"], job["payload"]) == (task, "queued", payload)


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/queue/example", {"message": ""}, "message"),
        ("/queue/delayed", {"message": "a", "delay_seconds": -1}, "delay_seconds"),
        ("/api/v1/tasks/trigger-test", {"message": "a", "user_id": 1.5}, "user_id"),
    ],
)
def test_a_wrong_body_is_refused_with_the_name_of_its_field(
    http: httpx.Client, path: str, body: dict[str, Any], field: str
) -> None:
    answer = http.post(path, json=body)
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == [field]


async def test_the_tasks_do_what_they_say(database: str, registry: Registry) -> None:
    async with working(database, registry) as domains:
        assert await domains.result("example_task", message="hi") == {"echo": "hi"}
        given = {"message": "ping", "user_id": 7, "project_id": None}
        assert await domains.result("test_task", **given) == given
        assert await domains.result("count_jobs_of_last_day") == {"complete": 2}


def test_jobs_are_counted_every_hour(registry: Registry) -> None:
    schedule = registry.get("count_jobs_of_last_day").schedule
    assert schedule is not None
    assert schedule.timing.cron == "0 * * * *"
