"""One run of a job in a slot, from the call of its task to the outcome in the database."""

import asyncio
import contextvars
import time
import traceback
from collections.abc import Awaitable, Callable, Coroutine
from concurrent.futures import Executor
from functools import partial
from typing import Any, Literal

import structlog
from saq import Status

from service import observers
from service.queue.errors import InvalidPayloadError, NoRetryError, UnknownTaskError
from service.queue.interface import JobQueue
from service.queue.job import DEFER_SECONDS, LeasedJob, may_be_of_another_release
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.origin import ORIGIN, REQUEST_ID, of_job
from service.queue.tasks.registry import Registry
from service.queue.tasks.task import TaskFunction
from service.queue.worker.context import Context
from service.queue.worker.invoke import SILENT, Call, prepare, run_in_thread
from service.queue.worker.progress import Progress
from service.queue.worker.time_limits import TimeLimits
from service.redact import without_secrets

ERROR_MAX_CHARACTERS = 16_000

Interruption = Literal["timed out", "silent", "aborted", "drained"]
Outcome = Literal["complete", "failed", "retried", "aborted", "handed back"]
log = structlog.stdlib.get_logger("worker")


class Run:
    """A job being run; the asyncio task `task` ends when the outcome is written."""

    def __init__(
        self,
        job: LeasedJob,
        queue: JobQueue,
        registry: Registry,
        *,
        context: Context,
        pool: Executor,
        run_hook: Callable[[TaskFunction, Context], Awaitable[None]],
        limits: TimeLimits,
        on_sent: Callable[["Run"], None],
        on_end: Callable[["Run"], None],
        variables: contextvars.Context,
    ) -> None:
        self.job = job
        self.is_calling = False  # the task's code runs, not ours around it
        self.interruption: Interruption | None = None
        self.task: asyncio.Task[None]
        self.loop: asyncio.AbstractEventLoop
        self._queue = queue
        self._context = context
        self._pool = pool
        self._run_hook = run_hook
        self._registry = registry
        self._progress: Progress | None = None
        self._payload: dict[str, Any] = {}
        self._span: observers.RunSpan | None = None
        self._on_sent = on_sent
        self._on_end = on_end
        # not those of whoever starts it: that may be the end of another run
        self._variables = variables.copy()
        self.limits = limits
        self.started_at = time.monotonic()

    @property
    def progress(self) -> Progress:
        """The progress that the job reports."""
        if self._progress is None:
            self._progress = Progress(self.job, self.loop)
        return self._progress

    def start(self) -> None:
        """Start an asyncio task for the run, with context variables of its own.

        `on_end` is called once the outcome is written, also where the task has ended before.
        """
        self.loop = asyncio.get_running_loop()
        self.task = self._create_task(self._run())

    def _create_task(self, run: Coroutine[Any, Any, None]) -> "asyncio.Task[None]":
        return self.loop.create_task(run, name=self.job.key, context=self._variables)

    def interrupt(self, why: Interruption) -> None:
        """Cancel the task's code, or keep it from starting. Writing the outcome goes on."""
        if self.interruption is None or why == "drained":
            self.interruption = why
            if self.is_calling:
                self.task.cancel()

    async def _run(self) -> None:
        is_over = True
        try:
            is_over = await self._call_and_record()
        finally:
            if is_over:
                self._on_end(self)

    async def _call_and_record(self) -> bool:
        """Call the task and write the outcome. False where that is still being written."""
        job = self.job
        known = {"job_key": job.key, "task": job.function, "attempt": job.attempts}
        if request_id := job.meta.get(REQUEST_ID):
            known[REQUEST_ID] = request_id
        structlog.contextvars.bind_contextvars(**known)
        ORIGIN.set(of_job(job.key, request_id))
        if observers.tracer is not None:
            self._span = observers.tracer.running(job.get_queue().name, job)
        context = Context(self._context, job=job, run=self)
        log.info("job started")
        try:
            try:
                result, failure = await self._call(context)
            finally:
                if self._progress:
                    self._progress.stop()
                if self._span is not None:
                    self._span.called()
            if failure is not None:
                context["exception"] = failure
            elif self._is_complete_soon(result):
                self._on_sent(self)
                return False
            outcome = await self._record(result, failure)
        except (UnknownTaskError, InvalidPayloadError) as error:
            failure, outcome = error, await self._defer_or_fail(error)
        except Exception as error:  # an error of ours, not the task's: the job must not stay active
            failure, outcome = error, await self._record_unrecorded(error)
        if self._span is not None:
            self._span.end(outcome, failure)
        for hook in self._registry.after:
            try:
                await self._run_hook(hook, context)
            except Exception as error:
                log.error("after_process hook failed", hook=hook.__name__, exc_info=error)
        return True

    def _is_complete_soon(self, result: Any) -> bool:
        """Has a complete run gone to the queue, so that nothing waits until it is written?"""
        if self._registry.after or self.interruption in ("timed out", "silent"):
            return False
        try:
            return self._queue.complete_soon(self.job, result, self._end)
        except (TypeError, ValueError, RecursionError):  # `_record` says it
            return False

    def _end(self, answer: bool | Exception) -> None:
        if isinstance(answer, Exception):
            self.task = self._create_task(self._end_unrecorded(answer))
            return
        self._variables.run(self._log_complete)
        if self._span is not None:
            self._span.end("complete", None)
        self._on_end(self)

    def _log_complete(self) -> None:
        log.info("job complete", milliseconds=self._milliseconds)

    async def _end_unrecorded(self, error: Exception) -> None:
        try:
            outcome = await self._record_unrecorded(error)
            if self._span is not None:
                self._span.end(outcome, error)
        finally:
            self._on_end(self)

    async def _record_unrecorded(self, error: Exception) -> Outcome:
        log.error("the outcome could not be recorded", exc_info=error)
        reason = f"its outcome could not be recorded: {type(error).__name__}"
        await self._queue.finish(self.job, Status.FAILED, error=reason)
        return "failed"

    async def _call(self, context: Context) -> tuple[Any, BaseException | None]:
        """The task's result, or the error that it raised."""
        payload = self._payload = self.job.kwargs or {}
        try:
            if LARGE_PAYLOAD in self.job.meta:
                with Interruptible(self):
                    payload = self._payload = await self._queue.payload(self.job)
        except (Exception, asyncio.CancelledError) as error:
            return None, error
        call = prepare(self._registry, self.job.function, payload)
        if self.interruption is not None:
            return None, asyncio.CancelledError()
        try:
            if self._registry.before:
                with Interruptible(self):
                    for hook in self._registry.before:
                        await self._run_hook(hook, context)
                call = self._prepared_again(payload)
                if self.interruption is not None:
                    return None, asyncio.CancelledError()
            with Interruptible(self):
                if call.is_async:
                    return await call(context), None
                return await run_in_thread(self._pool, partial(call, context)), None
        except BaseException as error:  # sys.exit() and a stray cancellation fail only this job
            return None, error

    def _prepared_again(self, payload: dict[str, Any]) -> Call:
        """The call after the hooks, which may have changed the job's task and payload."""
        if LARGE_PAYLOAD in self.job.meta:
            payload = payload | (self.job.kwargs or {})
        else:
            payload = self.job.kwargs or {}
        return prepare(self._registry, self.job.function, payload)

    async def _record(self, result: Any, failure: BaseException | None) -> Outcome:
        job, queue, milliseconds = self.job, self._queue, self._milliseconds
        if self.interruption == "drained" and failure is not None:
            log.info("job interrupted by the shutdown; queued again", milliseconds=milliseconds)
            await queue.hand_back([job], error="interrupted by a shutdown")
            return "handed back"
        elif self.interruption == "aborted" and failure is not None:
            log.info("job aborted", milliseconds=milliseconds)
            await queue.finish(job, Status.ABORTED, error=job.error or "aborted")
            return "aborted"
        elif self.interruption in ("timed out", "silent"):
            # Also where the task returned after all: it did not keep its time limit.
            late = TimeoutError(
                f"took longer than its timeout of {job.timeout} s"
                if self.interruption == "timed out"
                else SILENT.format(job.heartbeat)
            )
            late.__cause__ = failure
            return await self._record_failure(late)
        elif failure is not None:
            return await self._record_failure(failure)
        try:
            await queue.finish(job, Status.COMPLETE, result=result)
        except (TypeError, ValueError, RecursionError) as error:
            # No retry: another run would return the same again.
            unstorable = f"its result cannot be stored as JSON: {error}"
            log.error("job failed", reason=unstorable, milliseconds=milliseconds)
            await queue.finish(job, Status.FAILED, error=unstorable)
            if observers.errors is not None:
                observers.errors.job_failed(error, self._payload, job.get_queue().name, job)
            return "failed"
        self._log_complete()
        return "complete"

    async def _record_failure(self, error: BaseException) -> Outcome:
        job, queue = self.job, self._queue
        text = "".join(traceback.format_exception(error))[-2 * ERROR_MAX_CHARACTERS :]
        # before the cut, which may go through a secret
        text = without_secrets(text, self._payload)[-ERROR_MAX_CHARACTERS:]
        # The traceback may hold the payload: above debug level the log gets only type and place.
        facts = {
            "error": type(error).__name__, "at": _place(error), "milliseconds": self._milliseconds,
        }  # fmt: skip
        log.debug("job error", traceback=text)
        if job.retryable and not isinstance(error, NoRetryError):
            log.warning("job failed; it will be retried", retries=job.retries, **facts)
            await queue.retry(job, text)
            return "retried"
        log.error("job failed", **facts)
        await queue.finish(job, Status.FAILED, error=text)
        if observers.errors is not None:
            observers.errors.job_failed(error, self._payload, job.get_queue().name, job)
        return "failed"

    async def _defer_or_fail(self, error: UnknownTaskError | InvalidPayloadError) -> Outcome:
        """Hand back a job of another release, until it has been due for DEPLOY_SECONDS."""
        job, queue = self.job, self._queue
        if may_be_of_another_release(job):
            log.warning("not for this release; left to another worker", reason=str(error))
            if isinstance(error, UnknownTaskError):
                # When the job is due again, another worker has to claim it.
                queue.consumer.skip_task(job.function, 2 * DEFER_SECONDS)
            await queue.hand_back([job], error=str(error), delay=DEFER_SECONDS)
            return "handed back"
        log.error("job failed", reason=str(error))
        await queue.finish(job, Status.FAILED, error=str(error))
        if observers.errors is not None:
            observers.errors.job_failed(error, self._payload, job.get_queue().name, job)
        return "failed"

    @property
    def _milliseconds(self) -> int:
        return round((time.monotonic() - self.started_at) * 1000)


class Interruptible:
    """A block in which the run may be cancelled, and is after the job's timeout or heartbeat."""

    __slots__ = ("_heartbeat_timer", "_run", "_timer", "ends_at")

    def __init__(self, run: Run) -> None:
        self._run = run
        self.ends_at = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._heartbeat_timer: asyncio.TimerHandle | None = None

    def __enter__(self) -> None:
        run = self._run
        run.is_calling = True
        if run.job.timeout:
            self.ends_at = run.loop.time() + run.job.timeout
            run.limits.watch(self, run.job.timeout, run.loop)
        if run.job.heartbeat:
            run.job.on_beat = self._restart_heartbeat
            self._restart_heartbeat()

    def __exit__(self, *_: object) -> None:
        run = self._run
        run.is_calling = False
        self.ends_at = 0.0
        if run.job.on_beat:
            run.job.on_beat = None
        for timer in (self._timer, self._heartbeat_timer):
            if timer:
                timer.cancel()
        while run.task.cancelling():
            run.task.uncancel()

    def set_timer(self) -> None:
        if self.ends_at:
            self._timer = self._run.loop.call_at(self.ends_at, self._run.interrupt, "timed out")

    def _restart_heartbeat(self) -> None:
        run = self._run
        if self._heartbeat_timer:
            self._heartbeat_timer.cancel()
        if seconds := run.job.heartbeat:  # the job may have changed it
            self._heartbeat_timer = run.loop.call_later(seconds, run.interrupt, "silent")


def _place(error: BaseException) -> str | None:
    frames = traceback.extract_tb(error.__traceback__)
    return f"{frames[-1].filename}:{frames[-1].lineno}" if frames else None
