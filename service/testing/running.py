"""Runs the due jobs of a queue in a test, with the worker of production."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import NoReturn, Protocol

from saq import Job, Status
from saq.job import TERMINAL_STATUSES

from service.queue import Context, JobQueue, Worker
from service.queue.tasks.task import TaskFunction
from service.queue.worker.saq_settings import database_hooks
from service.settings import Settings

RUN_SECONDS = 60.0  # for all due jobs together
POLL_SECONDS = 0.01
OWN = "service."  # only hooks of the service run, not those that another test file has registered


class RunJobs(Protocol):
    """The type of the fixture `run_jobs`."""

    async def __call__(self, *, raises: bool = False, seconds: float = RUN_SECONDS) -> list[Job]:
        """The jobs in the order in which they ended. Raises `TimeoutError` after `seconds`."""


class NoDatabase:
    """`ctx.pool` of a queue without a database: each use of it raises."""

    def __getattr__(self, name: str) -> NoReturn:
        raise RuntimeError(
            f"ctx.pool.{name}: the fixture `queue` has no database; use `pg_queue` instead"
        )


@dataclass
class Bench:
    """The queues of one test, and the settings of their workers."""

    queues: list[tuple[JobQueue, Settings]] = field(default_factory=list)

    def add(self, queue: JobQueue, settings: Settings) -> None:
        """Add a queue, whose jobs `run` runs."""
        self.queues.append((queue, settings))

    async def run(self, *, raises: bool = False, seconds: float = RUN_SECONDS) -> list[Job]:
        """Run what is due in every queue until nothing is. Returns the jobs as they ended.

        With `raises`, raises the exception of the first job that failed. Raises `TimeoutError`
        where jobs are left after `seconds`, and what a start-up hook raises.
        """
        if not self.queues:
            raise RuntimeError("run_jobs() has no queue: ask for `queue` or `pg_queue` as well")
        ended: list[Job] = []
        for queue, settings in self.queues:
            watch = Watch()
            await _run_until_empty(queue, settings, watch, seconds)
            found = [job for job in await queue.jobs(list(watch.ended)) if job is not None]
            for job in found:
                if raises and job.status is Status.FAILED:
                    raise watch.ended[job.key] or RuntimeError(job.error)
            ended += found
        return ended


@dataclass
class Watch:
    """Hooks that record which jobs ended, and with which exception."""

    ended: dict[str, Exception | None] = field(default_factory=dict)

    async def before(self, ctx: Context) -> None:
        """Let retries run at once."""
        ctx.job.retry_delay = 0

    async def after(self, ctx: Context) -> None:
        """Record a job that has ended; called after its outcome is written."""
        if ctx.job.status in TERMINAL_STATUSES:
            error = ctx.get("exception")
            self.ended[ctx.job.key] = error if isinstance(error, Exception) else None


def _own(hooks: Iterable[TaskFunction]) -> list[TaskFunction]:
    return [hook for hook in hooks if hook.__module__.startswith(OWN)]


async def _run_until_empty(
    queue: JobQueue, settings: Settings, watch: Watch, seconds: float
) -> None:
    if not await _has_work(queue):
        return
    known = queue.registry
    registry = replace(
        known,
        startup=_own(known.startup),
        shutdown=_own(known.shutdown),
        before=[watch.before, *_own(known.before)],
        after=[*_own(known.after), watch.after],
    )
    startup, shutdown = _pool_hooks(queue, settings)
    worker = Worker(
        queue, registry, concurrency=1, drain_seconds=0, startup=startup, shutdown=shutdown
    )
    worker.SIGNALS = []
    running = asyncio.create_task(worker.start(), name="run_jobs")
    try:
        async with asyncio.timeout(seconds):
            while not running.done() and not await _is_done(queue, worker):  # noqa: ASYNC110
                await asyncio.sleep(POLL_SECONDS)
    except TimeoutError:
        stats = [await each.stats() for each in queue.all]
        waiting, active = sum(each.queued for each in stats), sum(each.active for each in stats)
        raise TimeoutError(
            f"not all jobs ended within {seconds:g} s: {waiting} wait, {active} run"
        ) from None
    finally:
        await worker.stop()
        await running


def _pool_hooks(
    queue: JobQueue, settings: Settings
) -> tuple[list[TaskFunction], list[TaskFunction]]:
    if queue.scheme == "memory":

        async def no_pool(ctx: Context) -> None:
            ctx["settings"], ctx["pool"] = settings, NoDatabase()

        return [no_pool], []
    open_pool, close_pool = database_hooks(settings)
    return [open_pool], [close_pool]


async def _has_work(queue: JobQueue) -> bool:
    """Does a job run, or wait in a queue that is not paused?"""
    stats = [await each.stats() for each in queue.all]
    return any(each.active or (each.queued and not each.is_paused) for each in stats)


async def _is_done(queue: JobQueue, worker: Worker) -> bool:
    """Does no job wait or run, and has none run during the query, hooks included?"""
    started, was_idle = queue.jobs_started, worker.is_idle
    return (
        not await _has_work(queue) and was_idle and worker.is_idle and started == queue.jobs_started
    )
