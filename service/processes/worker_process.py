"""`python -m service worker`: the worker in a process of its own, or inside the API's process."""

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import AsyncIterator

import structlog
import uvloop

from service import observers
from service.processes import healthcheck
from service.processes.queue_metrics import Reporter
from service.processes.scale_in_protection import TaskProtection
from service.queue.factory import create_queue
from service.queue.interface import JobQueue
from service.queue.tasks.discovery import discover
from service.queue.tasks.registry import Registry
from service.queue.worker.saq_settings import database_hooks
from service.queue.worker.worker import Worker
from service.settings import Settings, SettingsError

BEAT_SECONDS = 5.0

log = structlog.stdlib.get_logger("worker")


def create_worker(settings: Settings, registry: Registry, queue: JobQueue) -> Worker:
    """A worker with the application's pool in `ctx["pool"]`. Logs the tasks that it can run."""
    tasks = sorted(registry.tasks)
    schedules = [name for name in tasks if registry.tasks[name].schedule]
    log.info(
        f"{_count(tasks, 'task')}, {_count(schedules, 'schedule')}",
        tasks=tasks,
        schedules=schedules,
    )
    open_pool, close_pool = database_hooks(settings)
    return Worker(
        queue,
        registry,
        concurrency=queue.concurrency or settings.worker_concurrency,
        drain_seconds=settings.drain_seconds,
        startup=[open_pool],
        shutdown=[close_pool],
    )


def _count(names: list[str], word: str) -> str:
    return f"{len(names)} {word}{'' if len(names) == 1 else 's'}"


def run(settings: Settings) -> None:
    """Run the worker until SIGTERM or SIGINT. Raises the error that keeps it from starting."""
    if settings.queue_url.startswith("memory:"):
        raise SettingsError(
            ["QUEUE_DSN: memory:// is a queue within the API; give it WORKER_MODE=in-process"]
        )
    registry = discover()
    collect_less_often()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_work(settings, registry))


def collect_less_often() -> None:
    """Let the garbage collector run every 10,000 objects, and skip the imported modules.

    A job makes many small objects and hardly a cycle; the default costs it 5 to 11 microseconds.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)


async def _work(settings: Settings, registry: Registry) -> None:
    queue = create_queue(settings, registry)
    await queue.connect()
    worker = create_worker(settings, registry, queue)
    reporter = Reporter(queue, settings)
    watches = [_beat(settings.worker_heartbeat_file, worker), reporter.run()]
    if settings.ecs_agent_uri:
        watches.append(
            TaskProtection(
                worker,
                agent_uri=settings.ecs_agent_uri,
                metadata_uri=settings.ecs_container_metadata_uri_v4,
                drain_seconds=settings.drain_seconds,
            ).run()
        )
    running = [asyncio.create_task(watch) for watch in watches]
    try:
        await worker.start()
    finally:
        for watch in running:
            watch.cancel()
        await reporter.note_runs()
        await queue.disconnect()
    end_if_stuck(worker)


def end_if_stuck(worker: Worker, status: int = 0) -> None:
    """End the process at once where a job or hook of the stopped `worker` does not end.

    The job is queued again already, but asyncio and the interpreter would wait for its thread until
    the container is killed.
    """
    if worker.is_stuck:
        observers.close()
        sys.stdout.flush()
        os._exit(status)


async def _beat(path: str, worker: Worker) -> None:
    """Touch the heartbeat file while the event loop and the queue's loops run.

    The first time after the start-up hooks: ECS must not take a worker for healthy, and a
    deployment for done, that one of them is about to end.
    """
    await worker.is_prepared.wait()
    while True:
        if worker.queue.consumer.is_live():
            try:
                healthcheck.beat(path)
            except OSError as error:
                log.error("cannot write the heartbeat", path=path, error=str(error))
        else:
            log.error("the queue's loops are stuck; no heartbeat is written")
        await asyncio.sleep(BEAT_SECONDS)


@contextlib.asynccontextmanager
async def run_in_process(
    settings: Settings, registry: Registry, queue: JobQueue
) -> AsyncIterator[Worker]:
    """A worker inside the API's process (WORKER_MODE=in-process), drained when the block ends.

    If it cannot start, the process gets SIGTERM, and the end of the block raises the reason. Else
    the API would look healthy while nothing runs its jobs.
    """
    worker = create_worker(settings, registry, queue)
    worker.SIGNALS = []  # the server owns the signals
    running = asyncio.create_task(worker.start(), name="worker")
    running.add_done_callback(_end_with_worker)
    try:
        yield worker
    finally:
        await worker.stop()
        await running


def _end_with_worker(running: asyncio.Task[None]) -> None:
    if not running.cancelled() and (error := running.exception()):
        log.error("the worker cannot start; the API ends with it", error=repr(error))
        signal.raise_signal(signal.SIGTERM)
