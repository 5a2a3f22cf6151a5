"""The worker: runs jobs in slots and ends them right, whatever happens to it."""

import asyncio
import contextvars
import inspect
import random
import time
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog
from saq import Status
from saq.worker import Worker as SaqWorker

from service.db import create_pool
from service.queue.context import Context
from service.queue.dispatch import REQUEST_ID
from service.queue.invoke import functions, invoke
from service.queue.job import LeasedJob
from service.queue.postgres import PostgresQueue
from service.queue.registry import Registry, TaskFunction, discover
from service.settings import Settings, load_settings

ABORT_POLL_SECONDS = 1.0  # behind the notification that asks for it
CANCEL_SECONDS = 5.0  # for a cancelled job to end
HOOK_SECONDS = 30.0  # for a start-up or shutdown hook
PRUNE_SECONDS = 60.0
ERROR_MAX_CHARACTERS = 16_000

log = structlog.stdlib.get_logger("worker")


@dataclass(eq=False)
class RunningJob:
    """A job in a slot, and why it was cancelled where it was."""

    job: LeasedJob
    call: asyncio.Task[Any]
    aborted: bool = False
    drained: bool = False


class Worker(SaqWorker[Any]):
    """Runs the registry's tasks from a queue, `concurrency` jobs at a time.

    On SIGTERM or SIGINT no new job starts; running ones get `drain_seconds` to finish, then they
    are cancelled and queued again, which costs them no attempt. An idle worker stops at once.
    """

    def __init__(
        self,
        queue: PostgresQueue,
        registry: Registry,
        *,
        concurrency: int,
        drain_seconds: float,
        startup: Iterable[TaskFunction] = (),
        shutdown: Iterable[TaskFunction] = (),
    ) -> None:
        super().__init__(queue, functions(registry), id=queue.owner, concurrency=concurrency)
        self.queue: PostgresQueue = queue
        self._registry = registry
        self._drain_seconds = drain_seconds
        self._on_startup = [*startup, *registry.startup]
        self._on_shutdown = [*registry.shutdown, *shutdown]
        self._running: set[RunningJob] = set()  # a retry may start before its last run has left
        self.context = Context(worker=self, queue=queue)

    async def start(self) -> None:
        """Run until a signal or `stop`. Raises what a start-up hook raises, having run no job."""
        self.event = asyncio.Event()
        loop = asyncio.get_running_loop()
        for signum in self.SIGNALS:
            loop.add_signal_handler(signum, self.event.set)
        slots: list[asyncio.Task[None]] = []
        upkeep: list[asyncio.Task[None]] = []
        try:
            for hook in self._on_startup:
                await self._run_hook(hook)
            log.info("worker started", worker_id=self.id, concurrency=self.concurrency)
            upkeep = [
                asyncio.create_task(self._repeat(self._abort_asked, 0.0), name="abort"),
                asyncio.create_task(self._repeat(self.queue.schedule, 1.0), name="schedule"),
                asyncio.create_task(self._repeat(self.worker_info, 10.0), name="worker info"),
                asyncio.create_task(
                    self._repeat(self.queue.consumer.prune, PRUNE_SECONDS), name="prune"
                ),
            ]
            slots = [
                asyncio.create_task(self._slot(), name=f"slot {number}")
                for number in range(self.concurrency)
            ]
            await self.event.wait()
        finally:
            await self._drain(slots)
            for task in upkeep:
                task.cancel()
            if upkeep:
                await asyncio.wait(upkeep)
            for hook in self._on_shutdown:
                try:
                    await self._run_hook(hook)
                except Exception as error:
                    log.error("shutdown hook failed", hook=hook.__name__, exc_info=error)
            for signum in self.SIGNALS:
                loop.remove_signal_handler(signum)
            self.pool.shutdown(wait=False, cancel_futures=True)
            log.info("worker stopped", worker_id=self.id, unfinished=len(self._running))

    async def stop(self) -> None:
        """Ask `start` to drain and return."""
        self.event.set()

    @property
    def is_stuck(self) -> bool:
        """After `start`: does a job that would not end still occupy this process?"""
        return bool(self._running)

    async def _slot(self) -> None:
        while not self.event.is_set():
            job = await self.queue.consumer.next_job()
            if job is not None:
                try:
                    await self._run_job(job)
                except Exception as error:  # of ours, not the task's: the slot goes on
                    log.error("slot failed", job_key=job.key, exc_info=error)

    async def _run_job(self, job: LeasedJob) -> None:
        structlog.contextvars.clear_contextvars()
        structlog.contextvars.bind_contextvars(
            job_key=job.key, task=job.function, attempt=job.attempts
        )
        if request_id := job.meta.get(REQUEST_ID):
            structlog.contextvars.bind_contextvars(**{REQUEST_ID: request_id})
        context = Context(self.context, job=job)
        started = time.perf_counter()
        log.info("job started")
        running = RunningJob(job, asyncio.create_task(self._call(context), name=f"job {job.key}"))
        self._running.add(running)
        try:
            has_ended = await self._wait(running)
            await self._record(running, context, has_ended, time.perf_counter() - started)
        finally:
            if running.call.done():
                self._running.discard(running)
        for hook in self._registry.after:
            try:
                await self._run_hook(hook, context)
            except Exception as error:
                log.error("after_process hook failed", hook=hook.__name__, exc_info=error)

    async def _call(self, context: Context) -> Any:
        for hook in self._registry.before:
            await self._run_hook(hook, context)
        task = self._registry.get(context.job.function)
        return await invoke(task, context, context.job.kwargs or {}, self._in_thread)

    async def _wait(self, running: RunningJob) -> bool:
        """Has the call ended by itself, within the job's time? Otherwise it has been cancelled."""
        await asyncio.wait([running.call], timeout=running.job.timeout or None)
        if running.call.done():
            return True
        running.call.cancel()
        log.warning("job timed out", timeout_seconds=running.job.timeout)
        # A thread cannot be cancelled, and some code swallows it: the job is not run again beside
        # itself, so its slot waits for its end.
        while not running.call.done() and not running.drained:
            await asyncio.wait([running.call], timeout=CANCEL_SECONDS)
        return False

    async def _record(
        self, running: RunningJob, context: Context, has_ended: bool, seconds: float
    ) -> None:
        job, call, milliseconds = running.job, running.call, round(seconds * 1000)
        failure = _failure(call) if call.done() else None
        if running.drained and not (call.done() and failure is None):
            log.info("job interrupted by the shutdown; queued again", milliseconds=milliseconds)
            await self.queue.hand_back([job], error="interrupted by a shutdown")
        elif running.aborted and failure is not None:
            log.info("job aborted", milliseconds=milliseconds)
            await self.queue.finish(job, Status.ABORTED, error=job.error or "aborted")
        elif not has_ended or failure is not None:
            timed_out = TimeoutError(f"took longer than its timeout of {job.timeout} s")
            error: BaseException = timed_out if not has_ended or failure is None else failure
            context["exception"] = error
            await self._record_failure(job, error, milliseconds)
        else:
            try:
                await self.queue.finish(job, Status.COMPLETE, result=call.result())
            except (TypeError, ValueError, RecursionError) as error:
                # The work is done; another run would return the same again.
                unstorable = f"its result cannot be stored as JSON: {error}"
                log.error("job failed", reason=unstorable, milliseconds=milliseconds)
                await self.queue.finish(job, Status.FAILED, error=unstorable)
            else:
                log.info("job complete", milliseconds=milliseconds)

    async def _record_failure(
        self, job: LeasedJob, error: BaseException, milliseconds: int
    ) -> None:
        text = "".join(traceback.format_exception(error))[-ERROR_MAX_CHARACTERS:]
        # A message or a frame may hold the payload: at info level the log gets the type and place.
        facts = {"error": type(error).__name__, "at": _place(error), "milliseconds": milliseconds}
        log.debug("job error", traceback=text)
        if job.retryable:
            log.warning("job failed; it will be retried", retries=job.retries, **facts)
            await self.queue.retry(job, text)
        else:
            log.error("job failed", **facts)
            await self.queue.finish(job, Status.FAILED, error=text)

    async def _drain(self, slots: list[asyncio.Task[None]]) -> None:
        """End every slot: by itself within the drain time, else with its job queued again."""
        self.event.set()
        await self.queue.consumer.pause()
        if not slots:
            return
        if self._running:
            log.info("draining", running=len(self._running), seconds=self._drain_seconds)
        _, busy = await asyncio.wait(slots, timeout=self._drain_seconds)
        for running in self._running:
            running.drained = True
            running.call.cancel()
        if busy:
            _, busy = await asyncio.wait(busy, timeout=CANCEL_SECONDS)
        if busy:
            stuck = [running.job for running in self._running]
            log.error("jobs did not end when cancelled", job_keys=[job.key for job in stuck])
            for slot in busy:
                slot.cancel()
            await asyncio.wait(busy)
            try:
                async with asyncio.timeout(CANCEL_SECONDS):
                    await self.queue.hand_back(stuck, error="interrupted by a shutdown")
            except TimeoutError:
                log.error("could not hand them back; their lease runs out")

    async def _abort_asked(self, _: Any = None) -> None:
        """Cancel the running jobs that an operator aborted."""
        asked = self.queue.consumer.asked_to_abort
        try:
            async with asyncio.timeout(ABORT_POLL_SECONDS):
                await asked.wait()
        except TimeoutError:
            pass
        asked.clear()
        asked_for = await self.queue.consumer.aborting()
        for running in self._running:
            if not running.aborted and any(running.job is job for job in asked_for):
                running.aborted = True
                running.call.cancel()

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

    async def _run_hook(self, hook: TaskFunction, context: Context | None = None) -> None:
        context = self.context if context is None else context
        async with asyncio.timeout(HOOK_SECONDS):
            if inspect.iscoroutinefunction(hook):
                await hook(context)
            else:
                await self._in_thread(partial(hook, context))

    async def _in_thread(self, function: Callable[[], Any]) -> Any:
        """Run a plain function in a thread; a cancellation waits for it to end, then counts."""
        run = partial(contextvars.copy_context().run, function)
        future = asyncio.get_running_loop().run_in_executor(self.pool, run)
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            await asyncio.wait([future])
            raise


def database_hooks(settings: Settings) -> tuple[TaskFunction, TaskFunction]:
    """Start and stop hooks that keep a pool of the application's database in `ctx["pool"]`."""

    async def open_pool(context: dict[str, Any]) -> None:
        context["settings"] = settings
        context["pool"] = await create_pool(
            settings.database_dsn, name="moorage worker", max_size=settings.database_pool_size
        )

    async def close_pool(context: dict[str, Any]) -> None:
        try:
            async with asyncio.timeout(CANCEL_SECONDS):
                await context["pool"].close()
        except TimeoutError:
            context["pool"].terminate()

    return open_pool, close_pool


def settings() -> dict[str, Any]:
    """For plain SAQ: `saq service.queue.worker.settings`, with `--web` for its own page.

    SAQ's own worker then runs the jobs: leases, recovery, schedules and tracking hold, because they
    are the queue's; SAQ waits for the whole drain time when it stops.
    """
    given = load_settings()
    registry = discover()
    open_pool, close_pool = database_hooks(given)
    return {
        "queue": PostgresQueue(
            given.queue_url,
            registry,
            pool_size=given.queue_pool_size,
            poll_seconds=given.worker_poll_seconds,
        ),
        "functions": functions(registry),
        "concurrency": given.worker_concurrency,
        "startup": [open_pool, *registry.startup],
        "shutdown": [*registry.shutdown, close_pool],
        "before_process": registry.before,
        "after_process": registry.after,
        "shutdown_grace_period_s": given.drain_seconds,
    }


def _failure(call: asyncio.Task[Any]) -> BaseException | None:
    """Why an ended call failed; a cancellation that the task let through is a failure too."""
    if call.cancelled():
        return asyncio.CancelledError("cancelled")
    return call.exception()


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
