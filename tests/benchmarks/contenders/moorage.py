"""This project's engine, as the API and the worker of the service use it."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, ClassVar

from saq import Job

from service import logs
from service.migrate import migrate
from service.processes.worker_process import collect_less_often
from service.queue import Context, PostgresQueue, Registry, Worker
from service.settings import Settings
from tests.benchmarks.contender import OnJob, PostgresContender
from tests.benchmarks.contenders import saq_jobs


class Producer:
    """`queue.enqueue`, as a request handler calls it."""

    def __init__(self, queue: PostgresQueue) -> None:
        self._queue = queue

    async def enqueue(self, sent: int) -> None:
        await self._queue.enqueue("noop", sent=sent)

    async def enqueue_many(self, count: int) -> None:
        await self._queue.enqueue_many([Job("noop", kwargs={"sent": 0}) for _ in range(count)])


class Moorage(PostgresContender):
    """With everything on, the history of each job included."""

    name = "moorage"
    title = "Moorage"
    packages: ClassVar[tuple[str, ...]] = ("saq", "asyncpg")
    settings = "`PostgresQueue` and `Worker` as `python -m service` makes them: a pool of 4"
    promise = (
        "Durable: a job is complete with the commit that holds its outcome and its history"
        " (`background_jobs`). A slot goes on before, until as many outcomes as there are slots are"
        " on their way. A dead worker's jobs run again, a late finish is refused"
    )
    HAS_UNFINISHED = saq_jobs.HAS_UNFINISHED

    def set_up_logging(self) -> None:
        logs.configure(Settings.model_construct(log_level="warning", log_format="json"), "bench")

    async def set_up(self, dsn: str) -> None:
        await migrate(dsn)

    async def fill(self, dsn: str, jobs: int, delayed: int = 0) -> None:
        async with self._queue(dsn, lambda sent: None) as queue:
            await queue.enqueue("noop", sent=0)
            if delayed:
                await queue.enqueue("noop", sent=0, delay=saq_jobs.DELAY_SECONDS)
        await saq_jobs.multiply(dsn, due=jobs, delayed=delayed, key="uuidv7()")

    @asynccontextmanager
    async def producer(self, dsn: str) -> AsyncIterator[Producer]:
        async with self._queue(dsn, lambda sent: None) as queue:
            yield Producer(queue)

    @asynccontextmanager
    async def worker(self, dsn: str, concurrency: int, on_job: OnJob) -> AsyncIterator[None]:
        collect_less_often()
        async with self._queue(dsn, on_job) as queue:
            worker = Worker(queue, queue.registry, concurrency=concurrency, drain_seconds=10)
            worker.SIGNALS = []
            running = asyncio.create_task(worker.start())
            try:
                yield
            finally:
                await worker.stop()
                await running

    @asynccontextmanager
    async def _queue(self, dsn: str, on_job: OnJob) -> AsyncIterator[PostgresQueue]:
        queue = PostgresQueue(dsn, _registry(on_job))
        await queue.connect()
        try:
            yield queue
        finally:
            await queue.disconnect()


class MoorageLogged(Moorage):
    """At the log level that users have: two lines a job."""

    name = "logged"
    title = "Moorage, logging"
    settings = "as above, at the default log level (`info`), into a file"
    promise = "As above"

    def set_up_logging(self) -> None:
        settings = Settings.model_construct(log_level="info", log_format="json")
        # standard output is for what is measured
        with contextlib.redirect_stdout(tempfile.TemporaryFile("w")):
            logs.configure(settings, "bench")


def _registry(on_job: OnJob) -> Registry:
    registry = Registry()

    @registry.task
    async def noop(ctx: Context, sent: int) -> Any:
        on_job(sent)

    return registry
