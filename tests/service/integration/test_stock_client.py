"""A stock SAQ client beside ours, on the same tables."""

import math

from saq import Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.postgres import PostgresQueue
from tests.service.integration.conftest import Ledger, claim, put


async def test_job_of_a_stock_client_is_run_tracked_and_read_back_by_it(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await stock.enqueue("sleep", seconds=0)
    assert job is not None
    assert (await ledger.tracked(job.key))["task"] == "sleep"
    held = await claim(queue)
    assert held.kwargs == {"seconds": 0}
    await queue.finish(held, Status.COMPLETE, result={"slept": True})
    await job.refresh()
    assert job.status is Status.COMPLETE
    assert job.result == {"slept": True}
    assert job.completed >= job.started > 0


async def test_stock_client_reads_and_aborts_our_jobs(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await put(queue, key="ours")
    seen = await stock.job("ours")
    assert seen is not None
    assert seen.kwargs == {"seconds": 0.0}
    await stock.abort(seen, "from stock")
    assert await ledger.status(job.key) == "aborted"
    assert await queue.dequeue(timeout=0.3) is None
    info = await stock.info(jobs=True)
    assert info["queued"] == 0


async def test_failure_seen_by_a_stock_client_carries_the_error(
    queue: PostgresQueue, stock: StockQueue
) -> None:
    job = await stock.enqueue("sleep", seconds=0)
    assert job is not None
    await queue.finish(await claim(queue), Status.FAILED, error="it broke")
    await job.refresh()
    assert (job.status, job.error) == (Status.FAILED, "it broke")


async def test_a_stock_clients_job_that_json_cannot_hold_ends_at_once(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await stock.enqueue("sleep", seconds=math.nan)  # Python writes NaN, which no JSON is
    assert job is not None
    assert await queue.dequeue(timeout=0.5) is None
    record = await ledger.tracked(job.key)
    assert record["status"] == "failed"
    assert "malformed job" in record["error"]
