"""The floor: the engine's own statements, one after another on one connection, and no job code.

What it leaves out is what the engine's Python costs: reading jobs, running them in tasks, futures,
leases. Each claim asks for as many jobs as would run at once; each settlement ends all of them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import asyncpg

from service.db import QUEUE_SESSION
from service.queue.postgres import statements as sql
from service.queue.postgres.claims import CLAIM
from service.queue.tasks.enqueue import new_key
from tests.benchmarks.contender import OnJob
from tests.benchmarks.contenders.moorage import Moorage

BLOB = (
    b'{"function":"noop","kwargs":{"sent":0},"queue":"default","key":"%s","timeout":60,"retries":3,'
    b'"ttl":86400,"retry_delay":1.0,"retry_backoff":300.0,"queued":1760000000000}'
)
ENDING = (
    b',"status":"complete","attempts":1,"started":1760000000000,"touched":1760000000000,'
    b'"completed":1760000000000,"worker_id":"floor","progress":1.0}'
)
IDLE_SECONDS = 0.01


class Producer:
    """The enqueue statement, with one row or many."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection

    async def enqueue(self, sent: int) -> None:
        await self.enqueue_many(1)

    async def enqueue_many(self, count: int) -> None:
        keys = [new_key() for _ in range(count)]
        await self._connection.fetch(
            sql.ENQUEUE,
            keys, [BLOB % key.encode() for key in keys], [0] * count, [None] * count,
            [0] * count, ["noop"] * count, "default", "saq:default", False,
        )  # fmt: skip


class Floor(Moorage):
    name = "floor"
    title = "Floor"
    packages: ClassVar[tuple[str, ...]] = ("asyncpg",)
    settings = "the engine's statements on one asyncpg connection, no job code"
    promise = "Durable, but not a queue: nothing is run"

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:  # type: ignore[override]
        connection = await asyncpg.connect(dsn, server_settings=QUEUE_SESSION)
        try:
            yield Producer(connection)
        finally:
            await connection.close()

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        connection = await asyncpg.connect(dsn, server_settings=QUEUE_SESSION)
        running = asyncio.create_task(_work(connection, concurrency, on_job))
        try:
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])
            await connection.close()


async def _work(connection: asyncpg.Connection, count: int, on_job: OnJob) -> None:
    while True:
        claimed = await connection.fetch(CLAIM, "default", count, "floor", [], False, [], False)
        for _ in claimed:
            on_job(0)
        if not claimed:
            await asyncio.sleep(IDLE_SECONDS)
            continue
        number = len(claimed)
        await connection.fetch(
            sql.WRITE_OUTCOMES,
            [row["key"] for row in claimed], [row["lease"] for row in claimed],
            ["complete"] * number, [None] * number, [ENDING] * number, [0.0] * number,
            [0] * number, [86400] * number,
        )  # fmt: skip
