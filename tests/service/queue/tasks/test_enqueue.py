"""How a call of `enqueue` becomes a job: payload, options, and arguments that are neither."""

import time
import uuid
from datetime import UTC, datetime, timedelta

import pytest
from saq import Job

from service.queue.errors import InvalidOptionError, InvalidPayloadError
from service.queue.tasks.enqueue import (
    JobOptions,
    build_job,
    check_job,
    job_from_call,
    new_key,
)
from service.queue.tasks.origin import ORIGIN, of_job, of_request
from service.queue.tasks.registry import Registry
from service.queue.worker.context import Context


@pytest.fixture
def registry() -> Registry:
    registry = Registry()

    @registry.task(timeout=33, retries=4, ttl=777, priority=5, retry_delay=2, backoff=60)
    async def greet(ctx: Context, *, name: str = "you") -> None: ...

    @registry.task
    async def clash(ctx: Context, *, key: str, delay: float) -> None: ...

    return registry


def test_job_takes_what_its_task_says(registry: Registry) -> None:
    job = build_job(registry, "greet", {"name": "Ada"})
    assert (job.timeout, job.retries, job.ttl, job.priority) == (33, 4, 777, 5)
    assert (job.retry_delay, job.retry_backoff) == (2, 60)
    assert job.kwargs == {"name": "Ada"}
    assert job.scheduled == 0


def test_options_of_the_call_win_over_the_tasks(registry: Registry) -> None:
    job = job_from_call(registry, "greet", {"name": "Ada", "key": "once", "timeout": 5})
    assert (job.key, job.timeout, job.retries) == ("once", 5, 4)


def test_payload_field_is_never_taken_for_an_option(registry: Registry) -> None:
    job = job_from_call(registry, "clash", {"key": "mine", "delay": 9.5})
    assert job.kwargs == {"key": "mine", "delay": 9.5}
    assert job.key != "mine"
    assert job.scheduled == 0


def test_option_hidden_by_the_payload_is_given_with_a_job(registry: Registry) -> None:
    job = check_job(registry, Job("clash", kwargs={"key": "mine", "delay": 1}, key="once"))
    assert (job.key, job.kwargs) == ("once", {"key": "mine", "delay": 1.0})


def test_a_built_job_may_be_checked_again_as_enqueue_does(registry: Registry) -> None:
    @registry.task
    async def name_them(ctx: Context, *, by_id: dict[int, str]) -> None: ...

    job = build_job(registry, "name_them", {"by_id": {7: "Ada"}})
    from_json = build_job(registry, "name_them", {"by_id": {"7": "Ada"}})

    assert check_job(registry, job).kwargs == from_json.kwargs == {"by_id": {"7": "Ada"}}


def test_argument_that_is_neither_is_refused(registry: Registry) -> None:
    with pytest.raises(InvalidPayloadError, match="unknown field `nmae`"):
        job_from_call(registry, "greet", {"nmae": "Ada"})
    with pytest.raises(InvalidPayloadError, match="unknown field `status`"):
        job_from_call(registry, "greet", {"status": "complete"})


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("timeout", -1), ("timeout", "5"), ("retries", -1), ("priority", -1), ("priority", 40000),
        ("delay", -1), ("key", ""), ("key", "x" * 201), ("ttl", -2), ("run_at", "tomorrow"),
        ("heartbeat", -1), ("heartbeat", "2"),
        ("run_at", datetime(2030, 1, 1)),  # noqa: DTZ001 - the case: no time zone
    ],
)  # fmt: skip
def test_impossible_option_is_refused_by_its_name(
    registry: Registry, option: str, value: object
) -> None:
    with pytest.raises(InvalidOptionError) as raised:
        job_from_call(registry, "greet", {option: value})
    assert raised.value.option == option


def test_delay_and_run_at_say_when_the_job_is_due(registry: Registry) -> None:
    delayed = build_job(registry, "greet", {}, JobOptions(delay=30))
    assert 29 <= delayed.scheduled - time.time() <= 31
    moment = datetime.now(UTC) + timedelta(days=400)
    later = build_job(registry, "greet", {}, JobOptions(run_at=moment))
    assert 0 <= later.scheduled - moment.timestamp() < 1
    with pytest.raises(InvalidOptionError, match="not both"):
        build_job(registry, "greet", {}, JobOptions(run_at=moment, delay=1))


def test_a_job_says_which_request_or_job_has_enqueued_it(registry: Registry) -> None:
    for origin in (of_request("req-1", "POST", "/orders"), of_job("parent", "req-1")):
        before = ORIGIN.set(origin)
        assert build_job(registry, "greet", {}).meta == origin
        given = Job("greet", meta={"parent_job": "mine", "of": "mine"})
        meta = check_job(registry, given).meta
        assert meta == {**origin, "parent_job": "mine", "of": "mine"}
        ORIGIN.reset(before)
    assert build_job(registry, "greet", {}).meta == {}
    assert len(of_request("a", "GET", "/" + "x" * 9999)["request_line"]) == 200


def test_keys_are_unique_version_7_uuids_in_the_order_of_time() -> None:
    first = new_key()
    time.sleep(0.002)
    later = [new_key() for _ in range(1000)]
    assert all(uuid.UUID(key).version == 7 for key in later)
    assert all(uuid.UUID(key).variant == uuid.RFC_4122 for key in later)
    assert len(set(later)) == 1000
    assert all(first < key for key in later)
