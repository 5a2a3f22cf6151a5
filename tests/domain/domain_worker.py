"""A worker in the test's own process."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from pydantic import SecretStr
from saq import Job, Status
from saq.job import TERMINAL_STATUSES

from service.contract import ProcessName
from service.processes.worker_process import create_worker
from service.queue import Context, JobQueue, Registry, create_queue
from service.settings import Settings, settings_of
from tests.conftest import until


@dataclass
class Domains:
    """A worker that runs, and its queue."""

    settings: Settings
    queue: JobQueue
    context: Context  # the worker's, with what start-up hooks have put there

    async def run(self, task: str, **arguments: Any) -> Job:
        """A new job of that task, once it has ended."""
        job = await self.queue.enqueue(task, **arguments)
        assert job is not None
        return await self.ended(job.key)

    async def result(self, task: str, **arguments: Any) -> Any:
        """What a new job of that task returns."""
        job = await self.run(task, **arguments)
        assert job.status is Status.COMPLETE, job.error
        return job.result

    async def ended(self, key: str) -> Job:
        async def has_ended() -> Job | None:
            job = await self.queue.job(key)
            return job if job and job.status in TERMINAL_STATUSES else None

        job: Job = await until(has_ended, seconds=40, what=f"{key} has ended")
        return job

    async def idle(self) -> None:
        """Every job has ended."""

        async def is_idle() -> bool:
            stats = await self.queue.stats()
            return stats.queued + stats.scheduled + stats.active == 0

        await until(is_idle, seconds=40, what="the queue is empty")


@asynccontextmanager
async def working(
    dsn: str, registry: Registry, *, queue_dsn: str | None = None, bucket: str | None = None
) -> AsyncIterator[Domains]:
    """A worker that runs until the end of the block."""
    settings = settings_of(ProcessName.WORKER)(
        stage="local",
        database_url=SecretStr(dsn),
        queue_dsn=SecretStr(queue_dsn) if queue_dsn else None,
        worker_poll_seconds=1,
        drain_seconds=5,
        bucket=bucket,
        aws_region="us-east-1",
    )
    queue = create_queue(settings, registry)
    await queue.connect()
    worker = create_worker(settings, registry, queue)
    worker.SIGNALS = []

    running = asyncio.create_task(worker.start())
    await until(lambda: queue.consumer.is_started, what="the worker takes jobs")
    try:
        yield Domains(settings, queue, worker.context)
    finally:
        await worker.stop()
        await running
        await queue.disconnect()
