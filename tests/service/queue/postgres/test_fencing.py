"""A worker that no longer holds a job cannot change it."""

import pytest
from saq import Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import Ledger, claim, put, rescue, stored


@pytest.mark.parametrize("outcome", ["complete", "failed", "aborted", "retry", "hand back"])
async def test_late_outcome_changes_nothing_once_another_worker_has_the_job(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger, outcome: str
) -> None:
    job = await put(queue)
    late = await claim(other)
    await rescue(late, by=queue)
    held = await claim(queue)
    before = await stored(queue, job.key), await ledger.tracked(job.key)
    if outcome == "retry":
        await other.retry(late, "late")
    elif outcome == "hand back":
        await other.hand_back([late], "late")
    else:
        await other.finish(late, Status(outcome), result="late", error="late")
    assert (await stored(queue, job.key), await ledger.tracked(job.key)) == before
    await queue.finish(held, Status.COMPLETE, result="in time")
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.status, seen.result, seen.error) == (Status.COMPLETE, "in time", None)


async def test_late_finish_does_not_end_a_job_that_waits_again_or_has_ended(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    job = await put(queue)
    late = await claim(other)
    await rescue(late, by=queue)
    waiting = await stored(queue, job.key)
    await other.finish(late, Status.COMPLETE, result="late")
    assert await stored(queue, job.key) == waiting
    await queue.finish(await claim(queue), Status.FAILED, error="in time")
    ended = await stored(queue, job.key)
    await other.finish(late, Status.COMPLETE, result="late")
    assert await stored(queue, job.key) == ended


async def test_late_finish_does_not_end_the_next_job_of_the_same_key(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await put(queue, key="again")
    late = await claim(other)
    await rescue(late, by=queue)
    await queue.finish(await claim(queue), Status.COMPLETE)
    await put(queue, key="again")
    await other.finish(late, Status.FAILED, error="late")
    held = await claim(queue)
    await other.finish(late, Status.FAILED, error="late")
    assert (await stored(queue, "again"))["status"] == "active"
    await queue.finish(held, Status.COMPLETE)
    assert (await stored(queue, "again"))["status"] == "complete"


async def test_progress_and_meta_of_a_lost_job_are_not_written(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    job = await put(queue)
    late = await claim(other)
    await rescue(late, by=queue)
    held = await claim(queue)
    await held.update(progress=0.2, meta={"by": "holder"})
    before = await stored(queue, job.key)
    await late.update(progress=0.9)
    await late.update(meta={"by": "late"})
    assert await stored(queue, job.key) == before
    await queue.finish(held, Status.COMPLETE)
    before = await stored(queue, job.key)
    await late.update(progress=0.9)
    await held.update(progress=0.9)
    assert await stored(queue, job.key) == before, "nor is that of an ended job"


async def test_job_handed_back_and_run_by_another_is_not_ended_by_its_first_worker(
    queue: PostgresQueue, other: PostgresQueue, stock: StockQueue
) -> None:
    job = await put(queue)
    late = await claim(queue)
    await queue.hand_back([late])
    held = await claim(other)
    await queue.finish(late, Status.COMPLETE, result="late")
    assert (await stored(queue, job.key))["status"] == "active"
    await other.hand_back([held])
    theirs = await stock.dequeue(timeout=5)
    assert theirs == job
    await other.finish(held, Status.COMPLETE, result="late")
    assert (await stored(queue, job.key))["status"] == "active"
    await stock.finish(theirs, Status.COMPLETE)
    assert (await stored(queue, job.key))["status"] == "complete"


async def test_late_retry_of_a_rescued_run_does_not_queue_the_ended_job_again(
    queue: PostgresQueue,
) -> None:
    job = await put(queue)
    late = await claim(queue)
    await queue.pool.execute(
        "UPDATE saq_jobs SET status = 'queued', owner = NULL, lease = lease + 1"
    )
    await queue.finish(await claim(queue), Status.COMPLETE)
    await queue.retry(late, "too late")
    assert (await stored(queue, job.key))["status"] == "complete"


async def test_task_that_a_worker_does_not_know_is_left_to_the_others_when_it_is_due_again(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await claim_nothing(queue)
    queue.consumer.skip_task("sleep", 60)
    job = await put(other)
    await claim_nothing(queue)
    assert (await claim(other)).key == job.key


async def claim_nothing(queue: PostgresQueue) -> None:
    assert await queue.dequeue(timeout=0.3) is None
