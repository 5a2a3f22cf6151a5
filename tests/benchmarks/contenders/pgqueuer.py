"""PgQueuer on asyncpg, with the settings of its performance guide."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import asyncpg
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from tests.benchmarks.contender import OnJob, PostgresContender


class Producer:
    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def enqueue(self, sent: int) -> None:
        await self._queries.enqueue("noop", b"%d" % sent)

    async def enqueue_many(self, count: int) -> None:
        await self._queries.enqueue(["noop"] * count, [b"0"] * count, [0] * count)


class PgQueuerAsyncpg(PostgresContender):
    name = "pgqueuer"
    title = "PgQueuer"
    packages: ClassVar[tuple[str, ...]] = ("pgqueuer", "asyncpg")
    settings = (
        "Its tuning guide: one asyncpg connection for the worker and a pool of 5 to 20 for"
        " producers, `pgq autovac`, durable tables. `run(batch_size=…)` is the concurrency, without"
        " `max_concurrent_tasks`, with which it is no faster: so many jobs are claimed at once, and"
        " any number may run"
    )
    promise = (
        "Buffered: an end is kept in memory until a batch is full or 0.1 s have passed; jobs done"
        " but not yet flushed run again after a crash"
    )
    HAS_UNFINISHED = "SELECT EXISTS (SELECT FROM pgqueuer)"

    async def set_up(self, dsn: str) -> None:
        async with asyncpg.create_pool(dsn, min_size=1, max_size=2) as pool:
            queries = Queries(AsyncpgPoolDriver(pool))
            await queries.install()
            await queries.optimize_autovacuum()

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:
        async with asyncpg.create_pool(dsn, min_size=5, max_size=20) as pool:
            yield Producer(Queries(AsyncpgPoolDriver(pool)))

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        connection = await asyncpg.connect(dsn)
        try:
            queuer = PgQueuer.from_asyncpg_connection(connection)

            @queuer.entrypoint("noop")  # type: ignore[untyped-decorator]
            async def noop(job: Job) -> None:
                on_job(int(job.payload or 0))

            running = asyncio.create_task(queuer.run(batch_size=concurrency))
            try:
                yield
            finally:
                queuer.shutdown.set()
                await running
        finally:
            await connection.close()
