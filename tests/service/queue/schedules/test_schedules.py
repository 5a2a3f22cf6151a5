"""Schedules: each tick makes one job, an operator may change them, and a deployment keeps that."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from service.queue.cron import Timing
from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
)
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.schedule_record import ScheduleRecord
from service.queue.schedules import schedule_requests
from service.queue.schedules.schedule_requests import ScheduleRequest
from service.queue.tasks.registry import Registry
from service.queue.tasks.task import Schedule
from tests.conftest import Processes, until
from tests.service.api.api_process import start_api
from tests.service.conftest import claim
from tests.service.tasks import sleep

pytest_plugins = ["tests.service.api.conftest_api"]

PATH = "/api/v1/schedules"
HELLO = {
    "name": "hello",
    "task": "keep_note",
    "every": "2 seconds",
    "payload": {"message": "hi"},
}
DECLARED = "count_notes"


async def create(queue: PostgresQueue, **options: Any) -> ScheduleRecord:
    request = {"name": "nap", "task": "sleep", "every": "300 days", "payload": {"seconds": 0}}
    return await schedule_requests.create_schedule(queue, ScheduleRequest(**request | options))


async def make_due(queue: PostgresQueue, name: str = "nap", *, ago: str = "1 s") -> None:
    await queue.pool.execute(
        f"UPDATE recurring_jobs SET next_run_at = date_trunc('second', now() - interval '{ago}')"
        " WHERE name = $1",
        name,
    )
    queue.scheduler.wake()


async def ticks(queue: PostgresQueue) -> list[str]:
    rows = await queue.pool.fetch("SELECT key FROM saq_jobs WHERE key LIKE 'cron:nap:%'")
    return [row["key"] for row in rows]


async def fire(queue: PostgresQueue, name: str = "nap") -> list[str]:
    """The new jobs of that schedule; others may be due at this very moment."""
    return [key for key in await queue.schedule() if key.startswith(f"cron:{name}:")]


def release(queue: PostgresQueue, registry: Registry) -> PostgresQueue:
    """The queue as a worker of another release has it, on the same connections."""
    found = PostgresQueue("unused", registry)
    found.database = queue.database
    return found


@pytest.fixture
def lone() -> Registry:
    """A registry with one task and no schedule."""
    found = Registry()
    found.task(name="sleep")(sleep)
    return found


async def test_a_tick_becomes_one_job_however_many_workers_there_are(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await create(queue)
    await asyncio.gather(queue.schedule(), other.schedule())
    for _ in range(3):
        await make_due(queue)
        due = await queue.pool.fetchval(
            "SELECT extract(epoch FROM next_run_at)::bigint FROM recurring_jobs WHERE name = 'nap'"
        )
        before = await ticks(queue)
        other.scheduler.wake()
        found = await asyncio.gather(*(fire(each) for each in (queue, other) * 5))
        assert [key for keys in found for key in keys] == [f"cron:nap:{due}"]
        assert len(await ticks(queue)) == len(before) + 1
        await asyncio.sleep(1.1)
    nap = await schedule_requests.find_schedule(queue, "nap")
    assert nap.next_run_at is not None
    assert nap.next_run_at > datetime.now(UTC)
    assert nap.next_run_at.timestamp() % (300 * 86400) == 0


async def test_a_worker_that_dies_in_the_middle_leaves_the_tick_to_the_next(
    queue: PostgresQueue, other: PostgresQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    await create(queue)
    await queue.schedule()
    await make_due(queue)

    async def die(*_: Any) -> None:
        raise ConnectionError("killed before the commit")

    monkeypatch.setattr(queue.scheduler, "_move_on", die)  # between the two halves
    with pytest.raises(ConnectionError):
        await queue.schedule()
    assert await ticks(queue) == []
    assert len(await fire(other)) == 1


async def test_ticks_missed_without_workers_become_one_job(queue: PostgresQueue) -> None:
    await create(queue, every="1 minute")
    await queue.schedule()
    await make_due(queue, ago="10 minutes")
    assert len(await fire(queue)) == 1
    queue.scheduler.wake()
    assert await fire(queue) == []
    nap = await schedule_requests.find_schedule(queue, "nap")
    assert nap.last_run_at is not None
    assert datetime.now(UTC) - nap.last_run_at > timedelta(minutes=9)


async def test_a_unique_schedule_skips_a_tick_while_its_job_runs(
    queue: PostgresQueue,
) -> None:
    await create(queue, unique=True)
    await queue.schedule()
    await make_due(queue)
    assert len(await fire(queue)) == 1
    job = await claim(queue)
    await make_due(queue)
    assert await fire(queue) == []
    nap = await schedule_requests.find_schedule(queue, "nap")
    assert (nap.last_key, nap.last_status) == (job.key, "active")
    assert nap.last_error == "skipped: the job of the tick before has not ended"
    await queue.hand_back([job])
    await queue.abort(job, "not wanted")
    await asyncio.sleep(1.1)
    await make_due(queue, ago="0 s")
    assert len(await fire(queue)) == 1


async def test_a_declared_schedule_is_there_and_one_that_left_the_code_is_gone(
    queue: PostgresQueue, lone: Registry
) -> None:
    await queue.schedule()
    found = await schedule_requests.find_schedule(queue, DECLARED)
    assert (found.is_declared, found.cron, found.tz) == (True, "0 * * * *", "UTC")
    await create(queue)

    await release(queue, lone).schedule()
    assert [each.name for each in await schedule_requests.list_schedules(queue)] == ["nap"]


async def test_a_worker_says_what_it_declares_as_soon_as_it_lives(
    queue: PostgresQueue, other: PostgresQueue, lone: Registry
) -> None:
    await other.schedule()  # a worker syncs before its lease is written
    assert await other.dequeue(timeout=0.1) is None
    lives = "SELECT count(*) FROM queue_workers"
    await until(lambda: other.pool.fetchval(lives), seconds=10, what="lease")

    async def is_known() -> bool:
        await other.scheduler.wait_and_tick()
        return bool(await other.pool.fetchval(lives + " WHERE cardinality(schedules) > 0"))

    await until(is_known, seconds=20, what="what it declares")
    await release(queue, lone).schedule()
    await schedule_requests.find_schedule(queue, DECLARED)


async def test_while_a_worker_of_the_old_release_lives_its_schedules_stay(
    queue: PostgresQueue, other: PostgresQueue, lone: Registry
) -> None:
    assert await other.dequeue(timeout=0.1) is None  # it takes jobs, so it has a lease
    await until(
        lambda: other.pool.fetchval("SELECT count(*) FROM queue_workers"), seconds=10, what="lease"
    )
    await other.schedule()
    await release(queue, lone).schedule()
    await schedule_requests.find_schedule(queue, DECLARED)
    await other.consumer.stop()
    newer = release(queue, lone)
    await newer.schedule()
    with pytest.raises(ScheduleNotFoundError):
        await schedule_requests.find_schedule(queue, DECLARED)


async def test_a_disabled_schedule_stays_so_after_a_deployment(
    queue: PostgresQueue, registry: Registry
) -> None:
    await queue.schedule()
    disabled = await schedule_requests.disable_schedule(queue, DECLARED)
    assert (disabled.is_enabled, disabled.next_run_at) == (False, None)
    await make_due(queue, DECLARED)

    newer = release(queue, registry)
    assert await fire(newer, DECLARED) == []
    assert not (await schedule_requests.find_schedule(queue, DECLARED)).is_enabled

    before = datetime.now(UTC)
    enabled = await schedule_requests.enable_schedule(queue, DECLARED)
    assert enabled.next_run_at is not None
    assert enabled.next_run_at > before, "missed ticks are not made up"


async def test_another_time_in_the_code_counts_from_the_deployment_on(
    queue: PostgresQueue, lone: Registry
) -> None:
    lone.task(name="tick", schedule=Schedule(Timing.parse(cron="0 2 * * *")))(sleep)
    older = release(queue, lone)
    await older.schedule()
    changed = Registry()
    changed.task(name="tick", schedule=Schedule(Timing.parse(every="2 days")))(sleep)
    await release(queue, changed).schedule()
    found = await schedule_requests.find_schedule(queue, "tick")
    assert (found.cron, found.every) == (None, "2 days")
    assert found.next_run_at is not None
    assert found.next_run_at.timestamp() % (2 * 86400) == 0


async def test_a_schedule_of_a_task_that_another_release_knows_waits_for_it(
    queue: PostgresQueue,
) -> None:
    await create(queue)
    await make_due(queue)
    assert await release(queue, Registry()).schedule() == []
    assert len(await fire(queue)) == 1


async def test_a_payload_that_no_longer_fits_is_said_and_stops_nobody(
    queue: PostgresQueue,
) -> None:
    await create(queue)
    await create(queue, name="broken")
    await create(queue, name="odd")
    await queue.pool.execute(
        """UPDATE recurring_jobs SET payload = '{"seconds": "long"}' WHERE name = 'broken'"""
    )
    await queue.pool.execute(
        "UPDATE recurring_jobs SET every_seconds = NULL, cron = '?' WHERE name = 'odd'"
    )
    for name in ("nap", "broken", "odd"):
        await make_due(queue, name)
    due = ("cron:nap:", "cron:broken:", "cron:odd:")
    keys = [key for key in await queue.schedule() if key.startswith(due)]
    assert [key.split(":")[1] for key in keys] == ["nap"]
    found = {each.name: each.last_error for each in await schedule_requests.list_schedules(queue)}
    assert found["nap"] is None
    assert "payload.seconds" in str(found["broken"])
    assert "its time cannot be read" in str(found["odd"])


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"every": "soon"}, InvalidOptionError),
        ({"cron": "0 2 * * *"}, InvalidOptionError),
        ({"tz": "Mars"}, InvalidOptionError),
        ({"payload": {"seconds": "x"}}, InvalidPayloadError),
    ],
)
async def test_what_can_never_run_is_not_kept(
    queue: PostgresQueue, options: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await create(queue, **options)
    assert await schedule_requests.list_schedules(queue) == []


async def test_a_name_is_given_once_and_the_code_s_cannot_be_deleted(
    queue: PostgresQueue,
) -> None:
    await queue.schedule()
    await create(queue)
    with pytest.raises(ScheduleExistsError):
        await create(queue)
    with pytest.raises(ScheduleIsDeclaredError):
        await schedule_requests.delete_schedule(queue, DECLARED)
    await schedule_requests.delete_schedule(queue, "nap")
    with pytest.raises(ScheduleNotFoundError):
        await schedule_requests.delete_schedule(queue, "nap")


async def test_a_schedule_created_over_http_runs_on_time(processes: Processes) -> None:
    api = start_api(processes)
    processes.start("worker")
    with api.client() as http:
        made = http.post(PATH, json=HELLO)
        assert made.status_code == 201, made.text
        assert made.json()["every"] == "2 seconds"

        def jobs() -> list[dict[str, Any]]:
            query = {"task": "keep_note", "status": "complete"}
            found: list[dict[str, Any]] = http.get("/api/v1/jobs", params=query).json()["items"]
            return found

        await until(lambda: len(jobs()) >= 3, seconds=30, what="three ticks")

        def late(job: dict[str, Any]) -> timedelta:
            due = datetime.fromisoformat(job["scheduled_at"])
            assert due.timestamp() % 2 == 0
            return datetime.fromisoformat(job["started_at"]) - due

        await until(
            lambda: min(late(job) for job in jobs()) < timedelta(seconds=1),
            seconds=30,
            what="a tick within a second",
        )
        assert http.get(f"{PATH}/hello").json()["last_job_id"].startswith("cron:hello:")


def test_schedules_over_http(http: httpx.Client) -> None:
    def refused(status: int, **options: str) -> Any:
        answer = http.post(PATH, json={"name": "x", "task": "hooked", **options})
        assert answer.status_code == status, answer.text
        return answer.json().get("errors", [{}])[0].get("field")

    assert refused(404, task="nobody", every="hour") == "task"
    assert refused(422, cron="61 * * * *") == "cron"
    assert refused(422, every="never") == "every"
    assert refused(422) == "cron"
    assert refused(422, every="hour", name="a/b") == "name"
    later = HELLO | {"every": "366 days"}
    assert http.post(PATH, json=later).status_code == 201
    assert http.post(PATH, json=later).status_code == 409
    assert "hello" in {each["name"] for each in http.get(PATH).json()["items"]}
    disabled = http.post(f"{PATH}/hello/disable").json()
    assert (disabled["enabled"], disabled["next_run_at"]) == (False, None)
    assert http.post(f"{PATH}/hello/enable").json()["next_run_at"] is not None
    run = http.post(f"{PATH}/hello/run")
    assert run.status_code == 202
    assert http.get(f"/api/v1/jobs/{run.json()['job_id']}").json()["task"] == "keep_note"
    assert http.delete(f"{PATH}/hello").status_code == 204
    assert http.get(f"{PATH}/hello").status_code == 404
    assert http.post(f"{PATH}/hello/enable").status_code == 404
