"""A running job that somebody cancelled ends, and is never queued again."""

import asyncpg
import pytest
from saq import Status

from service.queue.errors import JobStateError
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until
from tests.service.conftest import Ledger, claim, put, rescue, stored


@pytest.mark.parametrize("outcome", ["retry", "hand back", "aborted"])
async def test_cancelled_job_is_aborted_whatever_its_worker_makes_of_it(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger, outcome: str
) -> None:
    job = await put(queue, retries=5)
    held = await claim(other)
    await queue.abort(job, "not wanted")
    assert await ledger.status(job.key) == "aborting"
    if outcome == "retry":
        await other.retry(held, "it failed")
    elif outcome == "hand back":
        await other.hand_back([held], "drained")
    else:
        await other.finish(held, Status.ABORTED, error="cancelled")
    row = await ledger.tracked(job.key)
    assert (row["status"], row["error"]) == ("aborted", "not wanted")
    assert row["finished_at"] is not None
    row = await stored(queue, job.key)
    assert row["owner"] is None
    kept = await queue.pool.fetchval("SELECT $1 - extract(epoch FROM now())", row["expire_at"])
    assert kept > 13 * 86400, "what went wrong is kept two weeks"
    assert await queue.dequeue(timeout=0.2) is None


async def test_cancelled_job_of_a_dead_worker_is_aborted_and_does_not_run_again(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue)
    held = await claim(other)
    await queue.abort(job, "not wanted")
    await rescue(held, by=queue)
    row = await ledger.tracked(job.key)
    assert (row["status"], row["error"]) == ("aborted", "not wanted")
    assert (await stored(queue, job.key))["expire_at"] is not None
    assert await queue.dequeue(timeout=0.2) is None


async def test_cancelled_job_that_had_done_its_work_is_complete(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    job = await put(queue)
    held = await claim(other)
    await queue.abort(job, "too late")
    await other.finish(held, Status.COMPLETE, result="done")
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.status, seen.result) == (Status.COMPLETE, "done")


async def test_cancelling_twice_is_cancelling_once(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue)
    held = await claim(other)
    await queue.abort(job, "first")
    await queue.abort(job, "second")
    with pytest.raises(JobStateError, match="is aborting"):
        await queue.retry(job, "no")
    await other.finish(held, Status.ABORTED, error="stopped")
    assert (await ledger.tracked(job.key))["error"] == "first"


async def test_workers_are_notified_that_a_running_job_is_cancelled(
    queue: PostgresQueue, other: PostgresQueue, database: str
) -> None:
    heard: list[object] = []
    connection = await asyncpg.connect(database)
    try:
        await connection.add_listener(queue.channel, lambda *message: heard.append(message[-1]))
        job = await put(queue)
        await claim(other)
        await queue.abort(job, "not wanted")
        await until(lambda: "saq:abort" in heard, what="the workers are notified")
    finally:
        await connection.close()


async def test_worker_finds_the_cancelled_among_the_jobs_it_runs_and_ends_those_it_has_not_started(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    jobs = [await put(queue) for _ in range(6)]
    other.consumer.prefetch = 10
    held = await claim(other)

    async def are_claimed() -> bool:
        return (await queue.stats()).active == len(jobs)

    await until(are_claimed, what="the worker has claimed ahead")
    ahead = next(job for job in jobs if job.key != held.key)
    for job in (held, ahead):
        await queue.abort(job, "not wanted")
    wanted = await other.consumer.jobs_to_stop()
    assert held in wanted
    assert await ledger.status(ahead.key) == "aborted"
    assert await ledger.status(held.key) == "aborting", "its run has to be stopped first"
    await other.consumer.pause()
    assert (await queue.stats()).queued == len(jobs) - 2
