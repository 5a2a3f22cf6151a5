"""Procrastinate on its psycopg connector."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import ClassVar

import procrastinate

from tests.benchmarks.contender import OnJob, PostgresContender

POOL_SIZE = 20  # as SAQ's; the connector's own default is 4


class Producer:
    def __init__(self, app: procrastinate.App) -> None:
        self._task = app.tasks["noop"]

    async def enqueue(self, sent: int) -> None:
        await self._task.defer_async(sent=sent)

    async def enqueue_many(self, count: int) -> None:
        await self._task.batch_defer_async(*({"sent": 0} for _ in range(count)))


class Procrastinate(PostgresContender):
    name = "procrastinate"
    title = "Procrastinate"
    packages: ClassVar[tuple[str, ...]] = ("procrastinate", "psycopg", "psycopg-pool")
    settings = (
        f"`PsycopgConnector` with a pool of {POOL_SIZE}, `run_worker_async(concurrency=…)` with its"
        " defaults: LISTEN/NOTIFY, finished jobs stay"
    )
    promise = (
        "Durable: each job's end is a commit of its own, with an event in its history. A dead"
        " worker's jobs run again once the user's own periodic task retries stalled jobs"
    )
    HAS_UNFINISHED = (
        "SELECT EXISTS (SELECT FROM procrastinate_jobs WHERE status IN ('todo', 'doing'))"
    )

    async def set_up(self, dsn: str) -> None:
        async with _app(dsn, lambda sent: None).open_async() as app:
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:
        async with _app(dsn, lambda sent: None).open_async() as app:
            yield Producer(app)

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        async with _app(dsn, on_job).open_async() as app:
            running = asyncio.create_task(
                app.run_worker_async(concurrency=concurrency, install_signal_handlers=False)
            )
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running])


def _app(dsn: str, on_job: OnJob) -> procrastinate.App:
    connector = procrastinate.PsycopgConnector(
        conninfo=dsn, min_size=POOL_SIZE // 5, max_size=POOL_SIZE
    )
    app = procrastinate.App(connector=connector)

    @app.task(name="noop")  # type: ignore[untyped-decorator]
    async def noop(sent: int) -> None:
        on_job(sent)

    return app
