"""A stock SAQ worker or client on our tables: neither side takes or loses the other's jobs."""

from typing import Any

from saq import Job, Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.job import LeasedJob
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import Ledger


async def held(queue: PostgresQueue, **options: Any) -> LeasedJob:
    await queue.enqueue("sleep", seconds=0, **options)
    job = await queue.dequeue(timeout=5)
    assert isinstance(job, LeasedJob)
    return job


async def read(queue: StockQueue, key: str) -> Job:
    job = await queue.job(key)
    assert job is not None
    return job


async def test_sweep_of_a_stock_worker_leaves_our_running_jobs_alone(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await held(queue, key="ours")
    assert (await read(stock, "ours")).stuck, "to SAQ it looks stuck: our claim leaves its blob"
    assert await stock.sweep(abort=0.1) == ["ours"]
    assert await ledger.status("ours") == "active"
    await queue.finish(job, Status.COMPLETE, result="done")
    seen = await read(stock, "ours")
    assert (seen.status, seen.result, seen.error) == (Status.COMPLETE, "done", None)


async def test_late_finish_by_a_stock_worker_changes_nothing(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await held(queue, key="taken-over")
    await stock.finish(await read(stock, "taken-over"), Status.FAILED, error="late")
    assert await ledger.status("taken-over") == "active"
    await queue.finish(job, Status.COMPLETE)
    assert await ledger.status("taken-over") == "complete"


async def test_abort_by_a_stock_client_reaches_our_worker(
    queue: PostgresQueue, stock: StockQueue
) -> None:
    job = await held(queue, key="running")
    await stock.abort(await read(stock, "running"), "not needed")
    (wanted,) = await queue.consumer.jobs_to_stop()
    assert wanted is job
    seen = await queue.job("running")
    assert seen is not None
    assert (seen.status, seen.error) == (Status.ABORTING, "not needed")


async def test_abort_of_an_ended_job_by_a_stock_client_changes_nothing(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    await queue.finish(await held(queue, key="over"), Status.COMPLETE, result=1)
    before = await ledger.tracked("over")
    await stock.abort(await read(stock, "over"), "too late")
    assert await ledger.tracked("over") == before


async def test_ended_key_that_a_stock_client_enqueues_again_is_a_new_job(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    await queue.finish(await held(queue, key="again"), Status.FAILED, error="broken")
    await queue.pool.execute("UPDATE saq_jobs SET scheduled = scheduled - 1")  # SAQ wants it later
    await stock.enqueue("sleep", key="again", seconds=0)
    row = await ledger.tracked("again")
    assert (row["status"], row["attempts"], row["error"]) == ("queued", 0, None)
    histories = await queue.pool.fetch("SELECT status FROM background_jobs ORDER BY id")
    assert [history["status"] for history in histories] == ["failed", "queued"]
    job = await queue.dequeue(timeout=5)
    assert isinstance(job, LeasedJob)
    assert (job.attempts, job.kwargs) == (0, {"seconds": 0})


async def test_job_that_a_dead_stock_worker_left_running_is_queued_again(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    for key, timeout in (("left", 5), ("may still run", 3600), ("endless", 0), ("null", None)):
        await stock.enqueue("sleep", key=key, timeout=timeout, seconds=0)
        job = await stock.dequeue(timeout=5)
        assert job is not None
        job.started -= 120_000
        await stock.update(job)
    await queue.prune()
    assert await ledger.status("left") == "queued"
    assert await ledger.status("may still run") == "active"
    assert await ledger.status("endless") == "active"
    assert await ledger.status("null") == "active"


async def test_unreadable_blob_of_a_dead_stock_worker_stops_no_pruning(
    queue: PostgresQueue,
) -> None:
    for blob in ("no json", '{"started": "x"}', '{"started": 1, "timeout": "y"}'):
        await queue.pool.execute(
            "INSERT INTO saq_jobs (key, job, queue, status) VALUES ($1, $2, $3, 'active')",
            blob, blob.encode(), queue.name,
        )  # fmt: skip
    await queue.prune()


async def test_sweep_that_began_while_a_job_ran_does_not_run_it_again_when_it_is_complete(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    await queue.finish(await held(queue, key="done"), Status.COMPLETE, result=1)
    await stock.retry(await read(stock, "done"), error=stock.swept_error_message)
    assert await ledger.status("done") == "complete"
