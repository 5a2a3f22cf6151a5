"""Delayed jobs and retries: never before their time, and not long after it."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from saq import Job

from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from tests.service.conftest import claim, put, stored

LATE_SECONDS = 5  # on a busy machine; a poll would take fifty


@pytest.fixture
async def idle(database: str, registry: Registry) -> AsyncIterator[PostgresQueue]:
    """A worker's queue that polls once a minute: it has to know when the next job is due."""
    queue = PostgresQueue(database, registry, poll_seconds=60)
    await queue.connect()
    yield queue
    await queue.disconnect()


async def _lateness(queue: PostgresQueue, job: Job) -> float:
    """Seconds from the due time of a job to its start, on the database's clock."""
    late: float = await queue.pool.fetchval(
        "SELECT extract(epoch FROM started_at)::float8 - scheduled FROM saq_jobs WHERE key = $1",
        job.key,
    )
    return late


async def test_delayed_jobs_start_in_the_order_of_their_times_each_at_its_own(
    queue: PostgresQueue, idle: PostgresQueue
) -> None:
    started = time.time()
    waiting = [asyncio.create_task(claim(idle)) for _ in range(3)]
    await asyncio.sleep(0.3)
    later, soon = await put(queue, delay=3), await put(queue, delay=1.5)
    at_once = await put(queue)
    async with asyncio.timeout(15):
        jobs = await asyncio.gather(*waiting)
    assert list(jobs) == [at_once, soon, later]
    for job, delay in ((soon, 1.5), (later, 3)):
        assert 0 <= await _lateness(queue, job) < LATE_SECONDS
        assert (await stored(queue, job.key))["started_at"].timestamp() >= started + delay


async def test_retry_with_a_delay_is_not_started_before_it_nor_long_after(
    queue: PostgresQueue, idle: PostgresQueue
) -> None:
    job = await put(queue, retries=3, retry_delay=2.0, retry_backoff=False)
    held = await claim(idle)
    waiting = asyncio.create_task(idle.dequeue())  # a slot that has found no job and waits
    await asyncio.sleep(0.3)
    failed = time.time()
    await idle.retry(held, "it failed")
    assert (await queue.stats()).scheduled == 1
    assert await asyncio.wait_for(waiting, 15) == job
    row = await stored(queue, job.key)
    assert 2 <= row["started_at"].timestamp() - failed < 2 + 1 + LATE_SECONDS
    assert row["attempts"] == 2


async def test_delayed_job_is_no_backlog_until_it_is_due(queue: PostgresQueue) -> None:
    await put(queue, delay=3600)
    stats = await queue.stats()
    assert (stats.queued, stats.scheduled, stats.oldest_due_seconds) == (0, 1, 0)
    assert await queue.dequeue(timeout=0.3) is None
    await queue.pool.execute("UPDATE saq_jobs SET scheduled = extract(epoch FROM now()) - 61")
    stats = await queue.stats()
    assert (stats.queued, stats.scheduled) == (1, 0)
    assert 60 < stats.oldest_due_seconds < 120
    await claim(queue)


async def test_waiting_job_that_is_put_off_or_brought_forward_starts_at_its_new_time(
    queue: PostgresQueue,
) -> None:
    put_off, forward = await put(queue), await put(queue, delay=3600)
    await put_off.update(scheduled=int(time.time()) + 3600)
    await forward.update(scheduled=int(time.time()) - 1)
    assert await claim(queue) == forward
    assert await queue.dequeue(timeout=0.3) is None
    assert (await queue.stats()).scheduled == 1
