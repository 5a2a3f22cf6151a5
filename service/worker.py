"""`python -m service worker`: the worker as a process, or inside the API's."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator

import structlog

from service import healthcheck
from service.aws import queue_password
from service.queue.postgres import PostgresQueue
from service.queue.registry import Registry, discover
from service.queue.worker import Worker, database_hooks
from service.settings import Settings

BEAT_SECONDS = 5.0

log = structlog.stdlib.get_logger("worker")


def create_queue(settings: Settings, registry: Registry) -> PostgresQueue:
    """The queue these settings describe, not yet connected."""
    return PostgresQueue(
        settings.queue_url,
        registry,
        pool_size=settings.queue_pool_size,
        poll_seconds=settings.worker_poll_seconds,
        password=queue_password(settings),
    )


def create_worker(settings: Settings, registry: Registry, queue: PostgresQueue) -> Worker:
    """A worker with the application's pool in `ctx["pool"]`."""
    open_pool, close_pool = database_hooks(settings)
    return Worker(
        queue,
        registry,
        concurrency=settings.worker_concurrency,
        drain_seconds=settings.drain_seconds,
        startup=[open_pool],
        shutdown=[close_pool],
    )


def run(settings: Settings) -> None:
    """Work until SIGTERM or SIGINT. Raises what stops it from starting."""
    asyncio.run(_work(settings, discover()))


async def _work(settings: Settings, registry: Registry) -> None:
    queue = create_queue(settings, registry)
    await queue.connect()
    worker = create_worker(settings, registry, queue)
    beats = asyncio.create_task(_beat(settings.worker_heartbeat_file, queue))
    try:
        await worker.start()
    finally:
        beats.cancel()
        await queue.disconnect()
    if worker.is_stuck:
        # A job that would not end is back in the queue, but asyncio and the interpreter would both
        # wait for it here, until the container is killed.
        sys.stdout.flush()
        os._exit(0)


async def _beat(path: str, queue: PostgresQueue) -> None:
    """Touch the heartbeat file while the event loop and the queue's loops turn."""
    while True:
        if queue.consumer.is_moving():
            try:
                healthcheck.beat(path)
            except OSError as error:
                log.error("cannot write the heartbeat", path=path, error=str(error))
        else:
            log.error("the queue's loops stand still; no heartbeat")
        await asyncio.sleep(BEAT_SECONDS)


@contextlib.asynccontextmanager
async def run_in_process(
    settings: Settings, registry: Registry, queue: PostgresQueue
) -> AsyncIterator[Worker]:
    """A worker inside the API's process (WORKER_MODE=in-process), drained when the block ends."""
    worker = create_worker(settings, registry, queue)
    worker.SIGNALS = []  # the server owns the signals
    running = asyncio.create_task(worker.start(), name="worker")
    try:
        yield worker
    finally:
        await worker.stop()
        await running
