"""What users of SAQ expect of a queue: jobs go in, come out, change and end."""

import asyncio
import time
from typing import Any

import pytest
from saq import Job, Status

from service.queue.errors import InvalidOptionError, InvalidPayloadError
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from tests.service.conftest import claim


@pytest.fixture
def registry() -> Registry:
    """Two tasks, and none of the project's."""
    registry = Registry()

    @registry.task(retries=1, retry_delay=0)
    async def echo(ctx: object, *, a: int = 0) -> int:
        return a

    @registry.task(retries=2, retry_delay=0)
    async def error(ctx: object) -> None:
        raise ValueError("oops")

    return registry


async def counts(queue: PostgresQueue) -> tuple[int, int, int]:
    """Waiting, running, and not ended."""
    return (
        await queue.count("queued"),
        await queue.count("active"),
        await queue.count("incomplete"),
    )


async def enqueue(queue: PostgresQueue, task: str | Job = "echo", **options: Any) -> Job:
    job = await queue.enqueue(task, **options)
    assert job is not None
    return job


async def test_job_is_enqueued_as_an_object_or_by_its_name(queue: PostgresQueue) -> None:
    given = Job("echo", kwargs={"a": 3}, timeout=7, meta={"from": "test"})
    by_object, by_name = await enqueue(queue, given), await enqueue(queue, a=1, timeout=1)
    assert by_object is given
    assert by_name.kwargs == {"a": 1}
    assert (by_name.timeout, by_name.heartbeat, by_name.status) == (1, 0, Status.QUEUED)
    assert by_name.queued > 0
    assert by_name.queue is queue
    for job in (by_object, by_name):
        seen = await queue.job(job.key)
        assert seen is not None
        assert seen.to_dict() == job.to_dict() | {"scheduled": seen.scheduled}
    assert await counts(queue) == (2, 0, 2)


async def test_options_given_with_a_job_object_override_it_and_are_checked_like_its_own(
    queue: PostgresQueue,
) -> None:
    job = await enqueue(queue, Job("echo", kwargs={"a": 1}), retries=5, priority=3)
    assert (job.retries, job.priority) == (5, 3)
    with pytest.raises(InvalidPayloadError):
        await queue.enqueue(Job("echo"), kwargs={"a": "no number"})
    assert await counts(queue) == (1, 0, 1)


async def test_payload_given_with_a_job_object_is_its_payload(queue: PostgresQueue) -> None:
    job = await enqueue(queue, Job("echo"), a=4)
    assert job.kwargs == {"a": 4}


async def test_job_that_enqueues_itself_becomes_the_one_that_waits_already(
    queue: PostgresQueue,
) -> None:
    await Job("echo", kwargs={"a": 1}, key="same").enqueue(queue)
    second = Job("echo", kwargs={"a": 2}, key="same")
    await second.enqueue(queue)
    assert second.kwargs == {"a": 1}
    assert await queue.enqueue(second) is None
    assert await counts(queue) == (1, 0, 1)


async def test_jobs_come_out_in_the_order_in_which_they_went_in(queue: PostgresQueue) -> None:
    jobs = [await enqueue(queue, a=number) for number in range(3)]
    for number, job in enumerate(jobs, start=1):
        assert await claim(queue) == job
        assert await counts(queue) == (3 - number, number, 3)


async def test_priority_counts_more_than_age(queue: PostgresQueue) -> None:
    old = await enqueue(queue, priority=9, scheduled=int(time.time()) - 100)
    young = await enqueue(queue, priority=1)
    assert [await claim(queue), await claim(queue)] == [young, old]


async def test_dequeue_waits_for_a_job_or_for_its_timeout(queue: PostgresQueue) -> None:
    assert await queue.dequeue(timeout=0.2) is None
    waiting = asyncio.create_task(queue.dequeue())
    await asyncio.sleep(0.1)
    job = await enqueue(queue)
    assert await asyncio.wait_for(waiting, 10) == job
    assert await counts(queue) == (0, 1, 1)


async def test_finish_ends_the_job_in_the_hand_and_in_the_queue(queue: PostgresQueue) -> None:
    job = await enqueue(queue)
    await claim(queue)
    await queue.finish(job, Status.COMPLETE, result={"x": [1]})
    assert (job.status, job.result, job.progress) == (Status.COMPLETE, {"x": [1]}, 1.0)
    assert job.completed >= job.queued
    assert await counts(queue) == (0, 0, 0)
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.status, seen.result) == (Status.COMPLETE, {"x": [1]})
    process, total = seen.duration("process"), seen.duration("total")
    assert process is not None
    assert total is not None
    assert -1000 < process <= total + 1000, "the database's clock and ours"


async def test_retry_queues_the_job_again_and_is_counted(queue: PostgresQueue) -> None:
    job = await enqueue(queue, "error")
    held = await claim(queue)
    await held.retry("it failed")
    assert (held.status, held.error, queue.retried) == (Status.QUEUED, "it failed", 1)
    assert await counts(queue) == (1, 0, 1)
    await job.refresh()
    assert (job.status, job.error) == (Status.QUEUED, "it failed")


async def test_retried_job_can_be_run_by_another_process(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    job = await enqueue(queue)
    await (await claim(queue)).retry("")
    await enqueue(other)
    assert await claim(other) == job


async def test_abort_ends_a_waiting_job_and_asks_a_running_one(queue: PostgresQueue) -> None:
    waiting = await enqueue(queue)
    await queue.abort(waiting, "not needed")
    assert waiting.status is Status.ABORTED
    assert await counts(queue) == (0, 0, 0)
    await waiting.refresh()
    assert (waiting.status, waiting.error) == (Status.ABORTED, "not needed")
    running = await enqueue(queue)
    held = await claim(queue)
    await running.abort("not needed")
    assert running.status is Status.ABORTING
    assert await counts(queue) == (0, 1, 1), "it runs until its worker has stopped it"
    await queue.finish_abort(held)
    await running.refresh()
    assert (running.status, running.error) == (Status.ABORTED, "not needed")
    assert await counts(queue) == (0, 0, 0)


async def test_statistics_count_what_this_process_did(queue: PostgresQueue) -> None:
    for number in range(3):
        for status in (Status.COMPLETE, Status.FAILED, Status.ABORTED):
            await enqueue(queue)
            held = await claim(queue)
            if number == 0:
                await held.retry(None)
                held = await claim(queue)
            await held.finish(status)
    info = await queue.worker_info("me", queue_key=queue.name)
    stats = info["stats"]
    assert stats is not None
    uptime = stats.pop("uptime")  # type: ignore[misc] # the rest is compared as a whole
    assert stats == {"complete": 3, "failed": 3, "aborted": 3, "retried": 3}
    assert uptime > 0


async def test_info_shows_workers_with_their_metadata_until_they_expire_and_jobs(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    info = await queue.info(jobs=True)
    assert info == {
        "workers": {}, "name": "default", "queued": 0, "active": 0, "scheduled": 0, "jobs": [],
    }  # fmt: skip
    first, second = await enqueue(queue, a=1), await enqueue(other, a=2)
    await enqueue(queue, delay=60)
    await claim(other)
    await other.worker_info("me", queue_key="default", metadata={"zone": "a"}, ttl=30)
    info = await queue.info(jobs=True)
    assert (info["queued"], info["active"], info["scheduled"]) == (1, 1, 1)
    assert {job["key"]: job["status"] for job in info["jobs"][:2]} == {
        first.key: "active", second.key: "queued",
    }  # fmt: skip
    assert len((await queue.info(jobs=True, limit=1))["jobs"]) == 2, "one of each kind"
    assert (await queue.info())["jobs"] == []
    assert info["workers"]["me"]["metadata"] == {"zone": "a"}
    assert info["workers"]["me"]["queue_key"] == "default"
    await queue.pool.execute("UPDATE saq_stats SET expire_at = expire_at - 60")
    assert (await queue.info())["workers"] == {}


async def test_update_keeps_what_it_is_given_but_never_the_status(queue: PostgresQueue) -> None:
    job = await enqueue(queue)
    await job.update(meta={"step": 1})
    job.status = Status.ACTIVE
    await queue.update(job)
    assert job.status is Status.ACTIVE, "the caller's own object is left as it is"
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.status, seen.meta) == (Status.QUEUED, {"step": 1})
    held = await claim(queue)
    await held.update(status=Status.COMPLETE, progress=0.5)
    await job.refresh()
    assert (job.status, job.progress, job.meta) == (Status.ACTIVE, 0.5, {"step": 1})


async def test_update_beside_a_refresh_is_not_lost(queue: PostgresQueue) -> None:
    job = await enqueue(queue)
    refreshing = asyncio.create_task(job.refresh())
    await asyncio.sleep(0)
    await job.update(meta={"mine": True})
    await refreshing
    seen = await queue.job(job.key)
    assert seen is not None
    assert seen.meta == {"mine": True}


async def test_refresh_of_a_job_that_is_gone_says_so(queue: PostgresQueue) -> None:
    job = await enqueue(queue, Job("echo", ttl=1))
    await (await claim(queue)).finish(Status.COMPLETE)
    await queue.pool.execute("UPDATE saq_jobs SET expire_at = expire_at - 10")
    assert await queue.sweep() == []
    with pytest.raises(RuntimeError, match="doesn't exist"):
        await job.refresh()


@pytest.mark.parametrize("batch_size", [1, 2, 3, 100])
async def test_iteration_yields_every_job_once_whatever_the_batch(
    queue: PostgresQueue, batch_size: int
) -> None:
    jobs = {(await enqueue(queue, delay=60 * (number % 2))).key for number in range(9)}
    held = [await claim(queue) for _ in range(3)]
    await held[0].finish(Status.FAILED, error="x")
    seen = [job.key async for job in queue.iter_jobs(batch_size=batch_size)]
    assert sorted(seen) == sorted(jobs)

    async def keys(*statuses: Status) -> set[str]:
        found = queue.iter_jobs(statuses=statuses, batch_size=batch_size)
        return {job.key async for job in found}

    assert await keys(Status.ACTIVE) == {job.key for job in held[1:]}
    assert await keys(Status.FAILED, Status.COMPLETE) == {held[0].key}
    assert await keys(Status.QUEUED) == jobs - {job.key for job in held}
    assert await keys() == set()


async def test_job_scheduled_for_the_next_second_does_not_start_in_this_one(
    queue: PostgresQueue,
) -> None:
    due = int(time.time()) + 2
    await enqueue(queue, scheduled=due)
    held = await claim(queue)
    started = await queue.pool.fetchval("SELECT started_at FROM saq_jobs")
    assert held.scheduled == due
    assert started.timestamp() >= due


@pytest.mark.parametrize("priority", [-1, 32768])
async def test_priority_that_no_worker_takes_is_refused(
    queue: PostgresQueue, priority: int
) -> None:
    with pytest.raises(InvalidOptionError, match="priority: must be 0 to 32767"):
        await enqueue(queue, Job("echo", priority=priority))
    assert await counts(queue) == (0, 0, 0)


async def test_connecting_and_disconnecting_twice_is_harmless(queue: PostgresQueue) -> None:
    await queue.connect()
    await enqueue(queue)
    for _ in range(2):
        await queue.disconnect()
    with pytest.raises(RuntimeError):
        await queue.count("queued")
    for _ in range(2):
        await queue.connect()
    assert await counts(queue) == (1, 0, 1)
    await claim(queue)
