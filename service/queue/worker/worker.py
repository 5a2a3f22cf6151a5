"""The worker: runs jobs in slots, and drains when it is stopped."""

import asyncio
import contextlib
import contextvars
import inspect
import random
from collections.abc import Awaitable, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import structlog
from saq.worker import Worker as SaqWorker

from service.queue.interface import JobQueue
from service.queue.job import LeasedJob
from service.queue.tasks.registry import Registry
from service.queue.tasks.task import TaskFunction
from service.queue.worker.context import Context
from service.queue.worker.invoke import functions, run_in_thread
from service.queue.worker.progress import Heartbeats
from service.queue.worker.run import Run
from service.queue.worker.time_limits import TimeLimits

ABORT_POLL_SECONDS = (1.0, 20.0)  # with jobs running, and without; an abort also notifies
CANCEL_SECONDS = 5.0  # for a cancelled job to end
HOOK_SECONDS = 30.0  # for one hook; all shutdown hooks together have CANCEL_SECONDS
PRUNE_SECONDS = 60.0
INFO_SECONDS = 20.0  # between two writes of what SAQ's page shows of the worker, for a minute each
PREFETCH_MAX_JOBS = 200
DAY_SECONDS = 24 * 3600

# Options of SAQ's worker that ours does not have, and what to use instead.
INSTEAD = {
    "functions": "the registry's tasks are run",
    "id": "a worker's id is its queue's owner",
    "cron_jobs": "declare them with @scheduled_task",
    "cron_tz": "@scheduled_task has tz",
    "before_process": "decorate the hook with @before_process",
    "after_process": "decorate the hook with @after_process",
    "timers": "NOTIFY and the lease replace what they poll for",
    "dequeue_timeout": "WORKER_POLL_SECONDS is the time between two polls",
    "poll_interval": "WORKER_POLL_SECONDS is the time between two polls",
    "burst": "run_jobs of service.testing runs the due jobs, and so does SAQ's own Worker",
    "max_burst_jobs": "SAQ's own Worker has it",
    "shutdown_grace_period_s": "drain_seconds is that time",
    "cancellation_hard_deadline_s": "it is five seconds",
    "metadata": "it is the worker's pool and queues",
}

log = structlog.stdlib.get_logger("worker")


class Worker(SaqWorker[Any]):
    """Runs the registry's tasks from a queue, `concurrency` jobs at a time.

    On SIGTERM or SIGINT no new job starts; running ones get `drain_seconds` to finish, then they
    are cancelled and queued again, which costs them no attempt. An idle worker stops at once.

    Raises `TypeError` for an option of SAQ's worker that this one does not have; the message says
    what to use instead.
    """

    def __init__(
        self,
        queue: JobQueue,
        registry: Registry,
        *,
        concurrency: int,
        drain_seconds: float,
        startup: Iterable[TaskFunction] = (),
        shutdown: Iterable[TaskFunction] = (),
        **saq: Any,
    ) -> None:
        for option in saq:
            raise TypeError(f"{option}: {INSTEAD.get(option, 'a worker has no such option')}")
        about = {"pool": queue.worker_pool, "queues": list(queue.served.names)}
        super().__init__(
            queue, functions(registry), id=queue.owner, concurrency=concurrency, metadata=about
        )
        self.queue: JobQueue = queue
        queue.slots = concurrency
        # a thread for each slot, because a plain function that waits for one would lose its time;
        # the other two are for hooks
        self.pool = ThreadPoolExecutor(concurrency + 2, thread_name_prefix="job")
        self._registry = registry
        self._drain_seconds = drain_seconds
        self._on_startup = [*startup, *registry.startup]
        self._on_shutdown = [*registry.shutdown, *shutdown]
        self._runs: set[Run] = set()  # not by key: a retry may start before its last run is removed
        self._calls: set[Run] = set()  # those of them whose task has not ended
        self._waiting = 0  # slots that wait for a job
        self.is_prepared = asyncio.Event()  # the start-up hooks have run
        self._no_run = asyncio.Event()
        self._limits = TimeLimits()
        self._variables = contextvars.copy_context()
        self._is_hook_stuck = False
        self.context = Context(worker=self, queue=queue, heartbeat_manager=Heartbeats())

    async def start(self) -> None:
        """Run until a signal or `stop`. Raises what a start-up hook raises, before any job runs."""
        self.event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in self.SIGNALS:
            loop.add_signal_handler(signum, self.event.set)
        if self.SIGNALS:  # else the process goes on without it, and nobody starts another one
            self.queue.on_drain = self._drain_on_request
        upkeep: list[asyncio.Task[None]] = []
        try:
            await self.queue.connect()
            if not await self._prepared():
                return
            self.is_prepared.set()
            log.info(
                "worker started", worker_id=self.id, concurrency=self.concurrency,
                pool=self.queue.worker_pool, queues=str(self.queue.served),
            )  # fmt: skip
            upkeep = [
                asyncio.create_task(self._repeat(self._cancel_aborted, 0.0), name="abort"),
                asyncio.create_task(
                    self._repeat(self.queue.scheduler.wait_and_tick, 0.0), name="schedule"
                ),
                asyncio.create_task(
                    self._repeat(self.worker_info, INFO_SECONDS), name="worker info"
                ),
                asyncio.create_task(self._repeat(self.queue.prune, PRUNE_SECONDS), name="prune"),
            ]
            self.queue.consumer.resume()
            self.queue.consumer.prefetch = min(2 * self.concurrency, PREFETCH_MAX_JOBS)
            self._fill_slots()
            await self.event.wait()
        finally:
            await self._drain()
            for task in upkeep:
                task.cancel()
            if upkeep:
                await asyncio.wait(upkeep, timeout=CANCEL_SECONDS)
            await self._run_shutdown_hooks()
            for signum in self.SIGNALS:
                loop.remove_signal_handler(signum)
            self.pool.shutdown(wait=False, cancel_futures=True)
            log.info("worker stopped", worker_id=self.id, unfinished=len(self._runs))

    async def _prepared(self) -> bool:
        """Run the start-up hooks; False where a signal came first. Raises what a hook raises."""

        async def run_hooks() -> None:
            for hook in self._on_startup:
                await self.run_hook(hook, self.context)

        hooks = asyncio.create_task(run_hooks(), name="start-up hooks")
        stop = asyncio.create_task(self.event.wait())
        try:
            await asyncio.wait([hooks, stop], return_when=asyncio.FIRST_COMPLETED)
            if hooks.done():
                hooks.result()
            return not self.event.is_set()
        finally:
            stop.cancel()
            if not hooks.done():
                hooks.cancel()
                await asyncio.wait([hooks], timeout=CANCEL_SECONDS)
                self._is_hook_stuck = not hooks.done()

    async def _run_shutdown_hooks(self) -> None:
        async def run_hooks() -> None:
            for hook in self._on_shutdown:
                try:
                    await self.run_hook(hook, self.context)
                except Exception as error:
                    log.error("shutdown hook failed", hook=hook.__name__, exc_info=error)

        hooks = asyncio.create_task(run_hooks(), name="shutdown hooks")
        await asyncio.wait([hooks], timeout=CANCEL_SECONDS)
        if not hooks.done():
            log.error("the shutdown hooks took too long", seconds=CANCEL_SECONDS)
            hooks.cancel()
            await asyncio.wait([hooks], timeout=1.0)
            self._is_hook_stuck = self._is_hook_stuck or not hooks.done()

    def _drain_on_request(self) -> None:
        if not self.event.is_set():
            log.info("somebody wants this worker to drain", worker_id=self.id)
            self.event.set()

    async def stop(self) -> None:
        """Make `start` drain and return."""
        self.event.set()

    @property
    def is_stuck(self) -> bool:
        """After `start` has returned: does a job or hook still run that was cancelled?"""
        return bool(self._runs) or self._is_hook_stuck

    @property
    def is_idle(self) -> bool:
        """Is no job running?"""
        return not self._runs

    def busy_until(self, *, beyond_seconds: float) -> float | None:
        """The latest end of the running jobs whose timeout is over `beyond_seconds`.

        A value of `time.monotonic()`; None without such a job. A job without a timeout counts as
        one of a day.
        """
        limits = [(run.started_at, run.job.timeout or DAY_SECONDS) for run in self._runs]
        return max((at + limit for at, limit in limits if limit > beyond_seconds), default=None)

    async def run_hook(self, hook: TaskFunction, context: Context) -> None:
        """Call a hook; a plain function runs in a thread."""
        async with asyncio.timeout(HOOK_SECONDS):
            if inspect.iscoroutinefunction(hook):
                await hook(context)
            else:
                await run_in_thread(self.pool, partial(hook, context))

    def _start_run(self, job: LeasedJob | None) -> bool:
        self._waiting -= 1
        if job is not None:
            run = Run(
                job,
                self.queue,
                self._registry,
                context=self.context,
                pool=self.pool,
                run_hook=self.run_hook,
                limits=self._limits,
                on_sent=self._end_call,
                on_end=self._end_run,
                variables=self._variables,
            )
            self._runs.add(run)
            self._calls.add(run)
            self.queue.jobs_started += 1
            run.start()
        return True

    def _end_call(self, run: Run) -> None:
        """The task has ended, and its outcome is being written: its slot is free."""
        self._calls.discard(run)
        self._fill_slots()

    def _end_run(self, run: Run) -> None:
        self._runs.discard(run)
        self._calls.discard(run)
        if not self._runs:
            self._no_run.set()
        self._fill_slots()

    def _fill_slots(self) -> None:
        """Wait for a job in each free slot, while no more outcomes are being written than there
        are slots: those jobs run again if this process is killed now.
        """
        if self.event.is_set():
            return
        free = self.concurrency - len(self._calls)
        for _ in range(min(free, 2 * self.concurrency - len(self._runs)) - self._waiting):
            self._waiting += 1
            self.queue.consumer.wait(self._start_run)

    async def _drain(self) -> None:
        """Wait for the running jobs, at most the drain time, then queue the others again."""
        self.event.set()
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await self.queue.consumer.pause()
        except TimeoutError:
            log.error("could not hand back the claimed jobs; the lease expires")
        if self._runs:
            log.info("draining", running=len(self._runs), seconds=self._drain_seconds)
            await self._wait_for_runs(self._drain_seconds)
        for run in self._runs:
            run.interrupt("drained")
        await self._wait_for_runs(CANCEL_SECONDS)
        if self._runs:
            stuck = [run.job for run in self._runs if run.is_calling]
            log.error("jobs did not end when cancelled", job_keys=[job.key for job in stuck])
            try:
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self.queue.hand_back(stuck, error="interrupted by a shutdown")
            except TimeoutError:
                log.error("could not hand back these jobs; the lease expires")

    async def _wait_for_runs(self, seconds: float) -> None:
        self._no_run.clear()
        if self._runs:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._no_run.wait()

    async def _cancel_aborted(self) -> None:
        """Cancel the running jobs that an operator aborted."""
        asked = self.queue.consumer.asked_to_abort
        try:
            async with asyncio.timeout(ABORT_POLL_SECONDS[not self._runs]):
                await asked.wait()
        except TimeoutError:
            pass
        asked.clear()
        wanted = await self.queue.consumer.jobs_to_stop()
        for run in self._runs:
            if any(run.job is job for job in wanted):
                run.interrupt("aborted")

    async def _repeat(self, action: Callable[[], Awaitable[Any]], seconds: float) -> None:
        failures = 0
        while True:
            try:
                await action()
                failures = 0
            except Exception as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "upkeep failed; trying again",
                        what=getattr(action, "__name__", "?"), error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(min(failures, 10))
            await asyncio.sleep(seconds * random.uniform(0.9, 1.1))  # noqa: S311 - jitter
