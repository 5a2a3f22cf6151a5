"""SAQ's own queue and worker on Postgres."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from saq import Queue, Worker
from saq.queue.postgres import PostgresQueue

from tests.benchmarks.contender import OnJob, PostgresContender
from tests.benchmarks.contenders import saq_jobs


class Producer:
    """`queue.enqueue`; SAQ has no call for many jobs, so those are enqueued at once."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue

    async def enqueue(self, sent: int) -> None:
        await self._queue.enqueue("noop", sent=sent)

    async def enqueue_many(self, count: int) -> None:
        await asyncio.gather(*(self.enqueue(0) for _ in range(count)))


class StockSaq(PostgresContender):
    name = "saq"
    title = "SAQ on Postgres"
    packages: ClassVar[tuple[str, ...]] = ("saq", "psycopg", "psycopg-pool")
    settings = "`Queue.from_url` and `Worker` with their defaults: a pool of 4 to 20"
    promise = (
        "Durable when `finish` has committed, but not fenced: a swept job may be finished by two"
        " workers; a worker killed in mid-job loses it unless `retries` is raised"
    )
    has_bulk = False
    HAS_UNFINISHED = saq_jobs.HAS_UNFINISHED

    async def set_up(self, dsn: str) -> None:
        async with self._queue(dsn):
            pass  # connecting makes them

    async def fill(self, dsn: str, jobs: int, delayed: int = 0) -> None:
        async with self._queue(dsn) as queue:
            await queue.enqueue("noop", sent=0)
            if delayed:
                later = int(time.time()) + saq_jobs.DELAY_SECONDS
                await queue.enqueue("noop", sent=0, scheduled=later)
        await saq_jobs.multiply(dsn, due=jobs, delayed=delayed, key="gen_random_uuid()")

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:
        async with self._queue(dsn) as queue:
            yield Producer(queue)

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        async with self._queue(dsn) as queue, run_worker(queue, concurrency, on_job):
            yield

    @asynccontextmanager
    async def _queue(self, dsn: str) -> AsyncIterator[PostgresQueue]:
        queue = PostgresQueue.from_url(dsn)
        await queue.connect()
        try:
            yield queue
        finally:
            await queue.disconnect()


@asynccontextmanager
async def run_worker(queue: Queue, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
    """SAQ's worker on one of its queues."""

    async def noop(ctx: dict[str, Any], *, sent: int) -> None:
        on_job(sent)

    worker: Worker[Any] = Worker(queue, [("noop", noop)], concurrency=concurrency)
    worker.SIGNALS = []
    running = asyncio.create_task(worker.start())
    try:
        yield
    finally:
        worker.event.set()
        await running
