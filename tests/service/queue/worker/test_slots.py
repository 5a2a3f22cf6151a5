"""A slot takes the next job while the outcome of its last one is being written."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from saq import Job

from service.queue import Context, Registry, Worker
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until

SLOTS = 3

registry = Registry()
running: list[str] = []
together: list[int] = []  # how many ran, at each start
started: list[str] = []


@registry.task
async def short(ctx: Context) -> None:
    key = ctx.job.key
    started.append(key)
    running.append(key)
    together.append(len(running))
    await asyncio.sleep(0)
    running.remove(key)


@pytest.fixture
async def queue(application_dsn: str) -> AsyncIterator[PostgresQueue]:
    for each in (running, together, started):
        each.clear()
    queue = PostgresQueue(application_dsn, registry, poll_seconds=1)
    await queue.connect()
    yield queue
    await queue.disconnect()


async def test_at_most_as_many_outcomes_as_slots_are_unwritten(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await queue.enqueue_many(Job("short") for _ in range(20 * SLOTS))
    worker = Worker(queue, registry, concurrency=SLOTS, drain_seconds=10)
    worker.SIGNALS = []
    async with db.transaction():
        # no end can be written, while claims skip what is locked
        await db.execute(
            "CREATE FUNCTION held_up() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN PERFORM pg_advisory_xact_lock(4711); RETURN NEW; END $$"
        )
        await db.execute(
            "CREATE TRIGGER held_up BEFORE UPDATE ON saq_jobs FOR EACH ROW "
            "WHEN (NEW.status = 'complete') EXECUTE FUNCTION held_up()"
        )
    await db.execute("SELECT pg_advisory_lock(4711)")
    task = asyncio.create_task(worker.start())
    try:
        await until(lambda: len(started) == 2 * SLOTS, what="each slot has gone on once")
        await asyncio.sleep(0.3)
        assert len(started) == 2 * SLOTS
        await db.execute("SELECT pg_advisory_unlock(4711)")
        await until(lambda: len(started) == 20 * SLOTS, what="all have run")
    finally:
        await worker.stop()
        await task
    assert max(together) <= SLOTS
    assert await db.fetchval("SELECT count(*) FROM saq_jobs WHERE status <> 'complete'") == 0
    assert sorted(started) == sorted(set(started)), "one of them has run twice"
