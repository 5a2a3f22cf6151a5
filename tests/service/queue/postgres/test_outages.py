"""A database that answers and refuses: no job is lost, and its connections are not used again."""

import asyncio

import asyncpg
import pytest
from saq import Status

from service.db import UNAVAILABLE
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until
from tests.service.conftest import claim, put, stored


async def _demote(queue: PostgresQueue) -> None:
    """Make each of the queue's connections one to a demoted writer."""
    size = queue.pool.get_max_size()
    connections = [await queue.pool.acquire() for _ in range(size)]
    for connection in connections:
        await connection.execute("SET default_transaction_read_only = on")
    for connection in connections:
        await queue.pool.release(connection)


async def test_connections_to_a_demoted_writer_are_all_given_up_after_one_refusal(
    queue: PostgresQueue,
) -> None:
    await _demote(queue)
    with pytest.raises(UNAVAILABLE) as caught:
        await put(queue)
    assert isinstance(caught.value, asyncpg.ReadOnlySQLTransactionError)
    for _ in range(queue.pool.get_max_size()):
        await put(queue)


async def test_outcome_is_written_after_a_failover(queue: PostgresQueue) -> None:
    job = await put(queue)
    held = await claim(queue)
    await _demote(queue)
    async with asyncio.timeout(20):
        await queue.finish(held, Status.COMPLETE, result="done")
    assert (await stored(queue, job.key))["status"] == "complete"


async def test_outcome_is_written_though_its_statement_was_cancelled_or_its_connection_cut(
    queue: PostgresQueue, database: str
) -> None:
    locker = await asyncpg.connect(database)
    try:
        for how in ("pg_cancel_backend", "pg_terminate_backend"):
            job = await put(queue)
            held = await claim(queue)

            async def is_stopped(how: str = how) -> bool:
                stopped = await locker.fetch(
                    f"SELECT {how}(pid) FROM pg_stat_activity WHERE pid IN"
                    " (SELECT pid FROM pg_locks WHERE NOT granted)"
                )
                return bool(stopped)

            async with locker.transaction():
                await locker.execute("SELECT FROM saq_jobs FOR UPDATE")
                finishing = asyncio.create_task(queue.finish(held, Status.COMPLETE))
                await until(is_stopped, what="the statement was under way")
            async with asyncio.timeout(20):
                await finishing
            assert (await stored(queue, job.key))["status"] == "complete"
    finally:
        await locker.close()


async def test_worker_is_live_while_its_claim_loop_runs_and_not_once_that_has_died(
    queue: PostgresQueue,
) -> None:
    assert queue.consumer.is_live(), "nothing has started yet"
    waiting = asyncio.create_task(queue.dequeue())
    await until(queue.consumer.lease.is_alive.is_set)
    assert queue.consumer.is_live()
    (loop,) = [task for task in asyncio.all_tasks() if task.get_name() == "queue claim"]
    loop.cancel()
    await asyncio.wait([loop])
    assert not queue.consumer.is_live()
    waiting.cancel()


async def test_worker_whose_claim_loop_or_beat_is_stuck_is_not_live(
    queue: PostgresQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    waiting = asyncio.create_task(queue.dequeue())
    await until(queue.consumer.lease.is_alive.is_set)
    loop = asyncio.get_running_loop()
    now = loop.time()
    with monkeypatch.context() as later:  # no other code runs while the clock is wrong
        later.setattr(loop, "time", lambda: now + 120)
        assert not queue.consumer.is_live(), "a slot waits, and nothing was claimed for it"
    assert queue.consumer.is_live()
    with monkeypatch.context() as later:
        later.setattr("time.monotonic", lambda: now + 40)
        assert not queue.consumer.is_live(), "the lease is not renewed any more"
    await put(queue)
    await waiting
    with monkeypatch.context() as later:
        later.setattr(loop, "time", lambda: now + 120)
        assert queue.consumer.is_live(), "all slots are busy: there is nothing to claim"
