"""In a backlog a worker writes outcomes and claims the next jobs in one statement."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import asyncpg
import pytest
from saq import Job

from service.queue import Context, Registry, Worker
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until
from tests.service.queue.postgres.places import misplaced

JOBS = 200


registry = Registry()


holding: list[asyncio.Event] = []  # until it is set, a job runs


@registry.task
async def hold(ctx: Context) -> None:
    await holding.pop().wait()


@registry.task
async def noop(ctx: Context) -> None:
    pass


busy: list[str] = []  # the groups of which a job runs


@registry.task
async def grouped(ctx: Context) -> None:
    group = ctx.job.group_key
    assert group is not None
    assert group not in busy
    busy.append(group)
    await asyncio.sleep(0)
    busy.remove(group)


@pytest.fixture
async def queues(application_dsn: str) -> AsyncIterator[list[PostgresQueue]]:
    """One for each of two workers."""
    queues = [PostgresQueue(application_dsn, registry, poll_seconds=1) for _ in range(2)]
    for each in queues:
        await each.connect()
    yield queues
    for each in queues:
        await each.disconnect()


@contextlib.asynccontextmanager
async def working(queue: PostgresQueue, concurrency: int) -> AsyncIterator[None]:
    worker = Worker(queue, queue.registry, concurrency=concurrency, drain_seconds=5)
    worker.SIGNALS = []
    running = asyncio.create_task(worker.start())
    try:
        yield
    finally:
        await worker.stop()
        await running


async def until_all_have_ended(db: asyncpg.Connection) -> None:
    async def have_ended() -> bool:
        left = "SELECT count(*) FROM saq_jobs WHERE finished_at IS NULL"
        return not await db.fetchval(left)

    await until(have_ended, seconds=30, what="all jobs have ended")


async def put_many(queue: PostgresQueue, count: int = JOBS) -> None:
    await queue.enqueue_many(Job("noop") for _ in range(count))


async def test_a_job_costs_little_more_than_one_transaction(
    queues: list[PostgresQueue], db: asyncpg.Connection
) -> None:
    jobs = 4 * JOBS
    await put_many(queues[0], jobs)
    before = await db.fetchval("SELECT txid_current()")
    async with working(queues[0], concurrency=1):
        await until_all_have_ended(db)
    after = await db.fetchval("SELECT txid_current()")
    assert after - before < 1.7 * jobs, "it was two with a statement each"
    assert await misplaced(db) == []


async def test_malformed_jobs_among_them_fail_and_stop_nothing(
    queues: list[PostgresQueue], db: asyncpg.Connection
) -> None:
    await put_many(queues[0])
    await db.execute("UPDATE saq_jobs SET job = '[1]' WHERE background_job_id % 7 = 0")
    async with working(queues[0], concurrency=3):
        await until_all_have_ended(db)
    found = await db.fetch(
        "SELECT background_job_id % 7 = 0 AS is_bad, status, count(*) FROM saq_jobs GROUP BY 1, 2"
    )
    assert {(row["is_bad"], row["status"]) for row in found} == {
        (True, "failed"), (False, "complete"),
    }  # fmt: skip
    assert await misplaced(db) == []


async def test_a_suspect_is_not_claimed_before_it_can_start(
    queues: list[PostgresQueue], db: asyncpg.Connection
) -> None:
    """Else a worker that dies meanwhile would be counted against it, for the third time."""
    (queue, _), held = queues, asyncio.Event()
    holding.append(held)
    await queue.enqueue("hold")
    await queue.enqueue("noop", key="suspect", priority=1)
    for _ in range(9):
        await queue.enqueue("noop", priority=2)
    await db.execute("UPDATE saq_jobs SET crashes = 2 WHERE key = 'suspect'")

    async def are_claimed_ahead() -> bool:
        active = "SELECT count(*) >= 3 FROM saq_jobs WHERE status = 'active'"
        return bool(await db.fetchval(active))

    async with working(queue, concurrency=1):
        await until(are_claimed_ahead, what="two jobs are claimed ahead")
        suspect = "SELECT status FROM saq_jobs WHERE key = 'suspect'"
        assert await db.fetchval(suspect) == "queued"
        held.set()
        await until_all_have_ended(db)
        assert await db.fetchval(suspect) == "complete"


async def test_jobs_of_groups_run_one_at_a_time(
    queues: list[PostgresQueue], db: asyncpg.Connection
) -> None:
    """Seen from the jobs: `started_at` is that of the claim, which may commit later."""
    await queues[0].enqueue_many(Job("grouped", group_key=f"g{n % 3}") for n in range(JOBS))
    async with working(queues[0], concurrency=5), working(queues[1], concurrency=5):
        await until_all_have_ended(db)
    assert await db.fetchval("SELECT count(*) FROM saq_jobs WHERE status = 'complete'") == JOBS
    assert await db.fetchval("SELECT sum(attempts) FROM saq_jobs") == JOBS
    assert await misplaced(db) == []
