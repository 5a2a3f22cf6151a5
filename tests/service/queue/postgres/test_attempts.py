"""The attempts that job_attempts keeps: every way in which one ends, and how many."""

import asyncpg
import pytest
from saq import Job, Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.attempts import Attempt
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import claim, put, rescue


async def attempts(queue: PostgresQueue, key: str) -> list[Attempt]:
    record = await queue.find_record(key)
    assert record
    return await queue.attempts(record)


async def test_a_crash_is_an_attempt_that_costs_none(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    waiting = await put(queue)
    for number in (1, 2, 3):
        job = await claim(other)
        assert job.attempts == 0, "`dequeue` gives it back to SAQ's worker"
        await rescue(job, by=queue)
        found = await attempts(queue, waiting.key)
        assert [each.outcome for each in found] == ["crashed"] * number
    assert [each.attempt for each in found] == [1, 1, 1]
    assert [each.worker_id for each in found] == [other.owner] * 3
    assert str(found[2].error).startswith("its worker died 3 times")


async def test_what_was_claimed_and_never_began_is_no_attempt(queue: PostgresQueue) -> None:
    waiting = await put(queue)
    job = await claim(queue)
    await queue.retry(job, "no")
    await queue.fetch("UPDATE saq_jobs SET scheduled = 0, is_delayed = FALSE")
    await claim(queue)
    await queue.consumer.stop()  # its lease is given up, with the job
    assert [each.error for each in await attempts(queue, waiting.key)] == ["no"]


async def test_an_abort_between_two_attempts_is_told_once_the_job_runs_again(
    queue: PostgresQueue,
) -> None:
    waiting = await put(queue)
    await queue.retry(await claim(queue), "no")
    await queue.abort(waiting, "not now")
    assert [each.outcome for each in await attempts(queue, waiting.key)] == ["failed"]
    await queue.retry(waiting, "after all")
    failed, aborted = await attempts(queue, waiting.key)
    assert (failed.outcome, failed.error) == ("failed", "no")
    assert (aborted.outcome, aborted.error, aborted.started_at) == ("aborted", "not now", None)


async def test_a_stock_worker_is_told_of_too(queue: PostgresQueue, stock: StockQueue) -> None:
    waiting = await put(queue)
    job = await stock.dequeue(timeout=10)
    assert job is not None
    job.status = Status.ACTIVE
    await stock.update(job)
    await stock.retry(job, "Traceback\nValueError: of stock")
    (found,) = await attempts(queue, waiting.key)
    assert (found.outcome, found.worker_id) == ("failed", None)
    assert found.error == "Traceback\nValueError: of stock"


@pytest.mark.parametrize("group_key", [None, "one"])
async def test_twenty_are_kept_and_of_an_error_its_end(
    queue: PostgresQueue, db: asyncpg.Connection, group_key: str | None
) -> None:
    job = Job("sleep", kwargs={"seconds": 0}, retries=100, group_key=group_key)
    await queue.enqueue(job)
    for number in range(25):
        await queue.retry(await claim(queue), f"{'x' * 5000} {number}")
        await db.execute("UPDATE saq_jobs SET scheduled = 0, is_delayed = FALSE")
    found = await attempts(queue, job.key)
    assert [each.attempt for each in found] == [*range(6, 26)]
    assert str(found[-1].error).endswith("x 24")
    assert str(found[-1].error).startswith("…")
    assert len(str(found[-1].error)) == 4001


async def test_they_are_deleted_with_the_history(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await put(queue)
    await queue.retry(await claim(queue), "no")
    await queue.prune()
    assert await db.fetchval("SELECT count(*) FROM job_attempts") == 1
    await db.execute("UPDATE job_attempts SET ended_at = now() - interval '91 days'")
    await queue.prune()
    assert await db.fetchval("SELECT count(*) FROM job_attempts") == 0
