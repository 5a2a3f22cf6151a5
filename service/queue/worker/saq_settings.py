"""The settings for `saq service.queue.worker.settings`, and the hooks for `ctx["pool"]`."""

import asyncio
from typing import Any

from service.aws import database_password
from service.contract import ProcessName
from service.db import create_pool
from service.queue.factory import create_queue
from service.queue.tasks.discovery import discover
from service.queue.tasks.task import TaskFunction
from service.queue.worker.invoke import functions
from service.queue.worker.worker import CANCEL_SECONDS
from service.settings import Settings, load_settings


def database_hooks(settings: Settings) -> tuple[TaskFunction, TaskFunction]:
    """A start-up and a shutdown hook for the pool of the application's database, `ctx["pool"]`."""

    async def open_pool(context: dict[str, Any]) -> None:
        context["settings"] = settings
        context["pool"] = await create_pool(
            settings.database_dsn,
            name="moorage worker",
            max_size=settings.database_pool_size,
            password=database_password(settings),
        )

    async def close_pool(context: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(CANCEL_SECONDS / 2):
                await context["pool"].close()
        except TimeoutError:
            context["pool"].terminate()

    return open_pool, close_pool


def settings() -> dict[str, Any]:
    """For SAQ's own worker: `saq service.queue.worker.settings`, with `--web` for its own page.

    Leases, rescue, schedules and history work there too, because the queue does them. When it
    stops, SAQ's worker always waits for the whole drain time.
    """
    given = load_settings(ProcessName.WORKER)
    registry = discover()
    queue = create_queue(given, registry)
    open_pool, close_pool = database_hooks(given)
    return {
        "queue": queue,
        "functions": functions(registry),
        "concurrency": queue.concurrency or given.worker_concurrency,
        "startup": [open_pool, *registry.startup],
        "shutdown": [*registry.shutdown, close_pool],
        "before_process": registry.before,
        "after_process": registry.after,
        "shutdown_grace_period_s": given.drain_seconds,
    }
