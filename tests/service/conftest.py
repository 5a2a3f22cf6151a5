"""Fixtures: a queue in this test's database, and the ledger that its jobs write."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import psycopg_pool
import pytest
from saq import Job
from saq.queue.postgres import PostgresQueue as StockQueue

import tests.service.tasks  # noqa: F401 - registers
from scripts.host.postgres import Postgres
from service.queue.job import LeasedJob
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from service.testing.databases import execute
from tests.cluster import new_home
from tests.conftest import Processes, until
from tests.sample import sample_registry
from tests.service.aurora import OWNER_PASSWORD, Aurora

_numbers = itertools.count()


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every task of the sample domain and of the tests."""
    return sample_registry()


@pytest.fixture(scope="session")
def root(project: Path) -> Path:
    """The folder `service/` of the project with the sample domain: what `migrate` reads."""
    return project / "service"


@pytest.fixture
async def queue(application_dsn: str, registry: Registry) -> AsyncIterator[PostgresQueue]:
    """A connected queue, as an API process has it."""
    queue = PostgresQueue(application_dsn, registry, poll_seconds=1)
    await queue.connect()
    yield queue
    await queue.disconnect()


@pytest.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    """A connection to this test's database."""
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def other(application_dsn: str, registry: Registry) -> AsyncIterator[PostgresQueue]:
    """The same queue as another process has it."""
    queue = PostgresQueue(application_dsn, registry, poll_seconds=0.2)
    await queue.connect()
    yield queue
    await queue.disconnect()


@pytest.fixture
async def stock(database: str) -> AsyncIterator[StockQueue]:
    """SAQ's own client on the same tables."""
    pool = psycopg_pool.AsyncConnectionPool(database, open=False)
    queue = StockQueue(pool, manage_pool_lifecycle=True, min_size=1, max_size=2)
    await queue.connect()
    yield queue
    await queue.disconnect()


async def put(queue: PostgresQueue, **options: Any) -> Job:
    """A new job of a task that does nothing."""
    job = await queue.enqueue("sleep", seconds=0, **options)
    assert job is not None
    return job


async def claim(queue: PostgresQueue) -> LeasedJob:
    """The next job, held by that queue's process."""
    job = await queue.dequeue(timeout=10)
    assert isinstance(job, LeasedJob)
    return job


async def stored(queue: PostgresQueue, key: str) -> dict[str, Any]:
    """The job's row as the database has it."""
    row = await queue.pool.fetchrow("SELECT * FROM saq_jobs WHERE key = $1", key)
    assert row is not None, f"{key} has no row"
    return dict(row)


async def let_rescue(queue: PostgresQueue) -> None:
    """Let this process count as old enough to rescue the jobs of dead workers."""

    async def is_old_enough() -> bool:
        seconds = "SELECT extract(epoch FROM clock_timestamp() - pg_postmaster_start_time())"
        return bool(await queue.pool.fetchval(seconds) > 12)

    await until(is_old_enough, what="the server has been up for long enough")
    await queue.sweep()
    await queue.pool.execute(
        "UPDATE queue_workers SET steady_since = '-infinity' WHERE id = $1", queue.owner
    )


async def rescue(job: LeasedJob, by: PostgresQueue) -> None:
    """Let the lease of the job's worker expire, and `by` rescue the job."""
    await let_rescue(by)

    async def is_taken() -> bool:
        # repeated, because the worker may renew its lease in between
        await by.pool.execute(
            "UPDATE queue_workers SET expires_at = now() - interval '1 s' WHERE id = $1",
            job.worker_id,
        )
        await by.sweep()
        return bool((await stored(by, job.key))["lease"] != job.lease)

    await until(is_taken, what=f"{job.key} is rescued")


@dataclass
class Ledger:
    """What the jobs wrote into the ledger, and their rows."""

    pool: asyncpg.Pool

    async def events(self, key: str | None = None) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT event FROM ledger WHERE $1::text IS NULL OR job_key = $1 ORDER BY id", key
        )
        return [row["event"] for row in rows]

    async def tracked(self, key: str) -> dict[str, Any]:
        """The newest row of the job in background_jobs."""
        row = await self.pool.fetchrow(
            "SELECT * FROM background_jobs WHERE key = $1 ORDER BY id DESC LIMIT 1", key
        )
        assert row is not None, f"{key} is not tracked"
        return dict(row)

    async def status(self, key: str) -> str:
        status: str = (await self.tracked(key))["status"]
        return status

    async def until_status(self, key: str, status: str, seconds: float = 15.0) -> dict[str, Any]:
        async def has_status() -> bool:
            return await self.status(key) == status

        await until(has_status, seconds=seconds, what=f"{key} is {status}")
        return await self.tracked(key)

    async def until_event(self, event: str, count: int = 1, seconds: float = 15.0) -> None:
        async def has_event() -> bool:
            return (await self.events()).count(event) >= count

        await until(has_event, seconds=seconds, what=f"{count} x {event}")


@pytest.fixture
def ledger(queue: PostgresQueue) -> Ledger:
    """The ledger of this test's jobs."""
    return Ledger(queue.pool)


@pytest.fixture
async def worker(processes: Processes, ledger: Ledger) -> Any:
    """A worker process that has started."""
    child = processes.start("worker")
    await ledger.until_event("worker start")
    return child


@pytest.fixture(scope="session")
def aurora_server(clusters: Path) -> Iterator[Postgres]:
    """Started once for all who need one."""
    new_home(clusters / "aurora")
    server = Postgres(clusters / "aurora")
    server.start()
    asyncio.run(execute(server.url, "ALTER SYSTEM SET fsync = off"))
    asyncio.run(execute(server.url, "SELECT pg_reload_conf()"))
    yield server
    server.stop()


@pytest.fixture
def aurora(aurora_server: Postgres) -> Aurora:
    """A database without tables, of this test alone."""
    number = next(_numbers)
    made = Aurora(aurora_server, f"stage_{number}", "moorage", f"moorage_app_{number}")
    made.server.ensure_database(made.owner, OWNER_PASSWORD, made.database)
    return made
