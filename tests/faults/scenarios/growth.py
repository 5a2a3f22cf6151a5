"""What vacuum has not taken away: of a million jobs, or for as long as a snapshot is held."""

import asyncio
import json
import time

import asyncpg

from service.queue.postgres.claims import CLAIM
from tests.faults.arena import Arena


async def million_completed(arena: Arena) -> None:
    """A million ended jobs lie in the table, autovacuum is off, and 5,000 more go through."""
    await arena.database.execute(
        "ALTER TABLE saq_jobs SET (autovacuum_enabled = off);"
        "ALTER TABLE job_archive SET (autovacuum_enabled = off)"
    )
    count = arena.size(full=1_000_000, short=10_000)
    async with arena.database.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL session_replication_role = replica")  # no triggers
        await connection.execute(
            "INSERT INTO saq_jobs (key, job, queue, status, scheduled, expire_at, created_at,"
            " finished_at)"
            " SELECT 'done-' || n, '{}', 'default', 'complete', 0, 32503680000, now(), now()"
            " FROM generate_series(1, $1::int) AS n",
            count,
        )
    before = await _pages_of_a_claim(arena)
    await arena.start_workers(concurrency=50)
    started = time.monotonic()
    jobs = arena.size(full=5000, short=500)
    await arena.enqueue(count=jobs)
    await arena.wait(arena.is_at_rest, "all done", 120)
    arena.note("jobs_per_s", jobs / (time.monotonic() - started))
    after = await _pages_of_a_claim(arena)
    arena.note("pages_before", before)
    arena.hold("pages_of_a_claim", after)
    history: int = await arena.database.fetchval("SELECT count(*) FROM background_jobs")
    assert history
    await arena.check()


async def long_snapshot(arena: Arena) -> None:
    """Another transaction holds a snapshot, so that no vacuum takes away what a claim leaves."""
    seconds = arena.size(full=300, short=3)
    window = arena.size(full=30, short=2)
    backlog = arena.size(full=5000, short=1000)
    await arena.start_workers(2, concurrency=50)

    async def keep_backlog() -> None:
        while True:
            if await arena.database.fetchval("SELECT count(*) FROM queue_ready") < backlog:
                await arena.enqueue(count=backlog // 2)
            await asyncio.sleep(0.1)

    feeding = asyncio.create_task(keep_backlog())
    await asyncio.sleep(2 * window)  # the first half for the workers to get going
    taken = time.monotonic()
    connection: asyncpg.Connection = await asyncpg.connect(arena.engine.dsn)
    async with connection.transaction(isolation="repeatable_read"):
        await connection.fetch("SELECT count(*) FROM saq_jobs")
        await asyncio.sleep(seconds)
        released = time.monotonic()
        feeding.cancel()
        await asyncio.wait([feeding])
        await arena.wait(arena.is_at_rest, "the backlog is done", 60)
    await connection.close()
    ends = [line["at"] for line in arena.ledger.events("end")]
    before = sum(taken - window < at <= taken for at in ends) / window
    last = sum(released - window < at <= released for at in ends) / window
    arena.note("jobs_per_s_before", before)
    arena.note("jobs_per_s_at_the_end", last)
    arena.hold("times_slower", before / last)
    await arena.at_rest(10)


async def _pages_of_a_claim(arena: Arena) -> int:
    """How many pages the statement that claims ten jobs looks at."""
    async with arena.database.acquire() as connection:
        transaction = connection.transaction()
        await transaction.start()
        try:
            plan = await connection.fetchval(
                f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {CLAIM}",
                "default",
                10,
                "me",
                [],
                False,
                [],
                False,
            )
        finally:
            await transaction.rollback()
    root = json.loads(plan)[0]["Plan"]
    return int(root["Shared Hit Blocks"] + root["Shared Read Blocks"])
