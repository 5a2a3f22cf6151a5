"""A stock SAQ client beside ours, on the same tables."""

import json
import math
import time
from collections.abc import Callable
from typing import Any

import msgspec
import psycopg_pool
import pytest
from saq import Job, Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.job import CRASHES_MAX
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until
from tests.service.conftest import Ledger, claim, put, rescue


async def read(stock: StockQueue, key: str) -> Job:
    job = await stock.job(key)
    assert job is not None
    return job


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


async def test_delayed_jobs_of_a_stock_client_are_counted_and_start_on_time(
    queue: PostgresQueue, other: PostgresQueue, stock: StockQueue
) -> None:
    due = int(time.time()) + 2
    soon = await stock.enqueue("sleep", scheduled=due, seconds=0)
    later = await stock.enqueue("sleep", scheduled=due + 3600, seconds=0)
    assert soon is not None
    assert later is not None
    stats = await queue.stats()
    assert (stats.queued, stats.scheduled) == (0, 2)
    assert await queue.count("incomplete") == await stock.count("incomplete") == 2
    assert await claim(queue) == soon
    assert 0 <= time.time() - due < 0.5
    await stock.update(later, scheduled=int(time.time()))
    assert await claim(queue) == later, "sooner than it was to be"
    ended = await claim_and_fail(queue, stock, retry_delay=60)
    assert (await queue.stats()).scheduled == 1, ended.status
    await stock.enqueue("sleep", key=later.key, seconds=0)
    assert (await queue.stats()).scheduled == 1


async def claim_and_fail(queue: PostgresQueue, stock: StockQueue, **options: Any) -> Job:
    """A job that a stock worker has tried, and lets wait for its retry."""
    job = await stock.enqueue("sleep", seconds=0, retries=2, **options)
    assert job is not None
    held = await stock.dequeue(timeout=5)
    assert held is not None
    await stock.retry(held, "it failed")
    return held


DUMPS: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "pretty": (lambda job: json.dumps(job, indent=2) + "\n", json.loads),
    "windows": (lambda job: json.dumps(job) + " \r\n", json.loads),
    "compact": (lambda job: json.dumps(job, separators=(",", ":")), json.loads),
    "bytes": (msgspec.json.encode, msgspec.json.decode),
    "no json": (msgspec.msgpack.encode, msgspec.msgpack.decode),
}


@pytest.mark.parametrize("kind", DUMPS)
async def test_ended_job_of_a_stock_client_is_read_back_whatever_its_dump_looks_like(
    queue: PostgresQueue, database: str, kind: str
) -> None:
    dump, load = DUMPS[kind]
    pool = psycopg_pool.AsyncConnectionPool(database, open=False)
    stock = StockQueue(
        pool, manage_pool_lifecycle=True, min_size=1, max_size=2, dump=dump, load=load
    )
    await stock.connect()
    job = await stock.enqueue("sleep", seconds=0)
    assert job is not None
    if kind == "no json":
        assert await queue.dequeue(timeout=0.3) is None
        assert (await read(stock, job.key)).status is Status.FAILED, "nobody can run it"
    else:
        held = await claim(queue)
        await stock.update(await read(stock, job.key), meta={"of": "stock"})  # while it runs
        await queue.finish(held, Status.COMPLETE, result={"slept": True})
        done = await read(stock, job.key)
        assert (done.status, done.result, done.meta) == (
            Status.COMPLETE, {"slept": True}, {"of": "stock"},
        )  # fmt: skip
    await stock.disconnect()


async def test_stock_client_sees_what_runs_where_and_why_it_ended(
    queue: PostgresQueue, other: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    job = await put(queue, key="long", retries=2, retry_delay=0)
    held = await claim(queue)

    async def is_published() -> bool:
        return (await read(stock, job.key)).worker_id == queue.owner

    await until(is_published, seconds=5, what="SAQ's clients see where it runs")
    seen = await read(stock, job.key)
    assert (seen.status, seen.attempts, seen.stuck) == (Status.ACTIVE, held.attempts, False)
    assert abs(seen.started - time.time() * 1000) < 10_000
    await held.update(progress=0.5, meta={"step": 1})
    seen = await read(stock, job.key)
    assert (seen.progress, seen.meta) == (0.5, {"step": 1})
    assert seen.touched > seen.started
    await held.retry("it failed")
    seen = await read(stock, job.key)
    assert (seen.status, seen.error, seen.started) == (Status.QUEUED, "it failed", 0)
    assert (seen.progress, seen.meta) == (0, {"step": 1})

    again = await claim(queue)
    await other.abort(again, "not needed")
    await queue.consumer.jobs_to_stop()
    assert again.error == "not needed"
    await queue.finish(again, Status.ABORTED, error=again.error)
    assert (await read(stock, job.key)).error == "not needed"
    waiting = await put(queue, key="waiting")
    await queue.abort(waiting, "not needed \x00 'either'")
    seen = await read(stock, "waiting")
    assert (seen.status, seen.error) == (Status.ABORTED, "not needed \ufffd 'either'")
    assert seen.completed > 0


async def test_stock_client_sees_why_a_job_that_killed_its_workers_has_failed(
    queue: PostgresQueue, other: PostgresQueue, stock: StockQueue
) -> None:
    await put(queue, key="poison")
    await queue.pool.execute("UPDATE saq_jobs SET crashes = $1", CRASHES_MAX - 1)
    await rescue(await claim(queue), by=other)
    seen = await read(stock, "poison")
    assert (seen.status, seen.error) == (
        Status.FAILED, f"its worker died {CRASHES_MAX} times while running it",
    )  # fmt: skip
    assert seen.completed > 0
