"""Calls a task's function with the payload of a job."""

import asyncio
import contextlib
import contextvars
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import Executor
from functools import partial
from typing import Any

import msgspec
from saq import Job

from service.queue.errors import InvalidPayloadError, NoRetryError
from service.queue.job import LeasedJob
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.registry import Registry
from service.queue.tasks.task import Task, TaskFunction
from service.queue.worker.context import Context
from service.queue.worker.progress import Heartbeats

SILENT = "reported no progress for its heartbeat of {} s"


class Call(msgspec.Struct, frozen=True):
    """A task's function with its checked arguments, to be called with the context."""

    task: Task
    arguments: dict[str, Any]

    @property
    def is_async(self) -> bool:
        return self.task.is_async

    def __call__(self, context: Context) -> Any:
        return self.task.function(context, **self.arguments)


def prepare(registry: Registry, name: str, payload: Mapping[str, Any]) -> Call:
    """The call of a job. Raises `UnknownTaskError`, `InvalidPayloadError`."""
    task = registry.get(name)
    return Call(task, task.decode(payload))


@contextlib.asynccontextmanager
async def _heartbeat_checked(job: Job) -> AsyncIterator[None]:
    """Raises `TimeoutError` where a job reports nothing for the seconds of its heartbeat."""
    if not job.heartbeat or not isinstance(job, LeasedJob):
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(job.heartbeat) as limit:

            def on_beat() -> None:
                with contextlib.suppress(RuntimeError):  # it has expired already
                    limit.reschedule(loop.time() + job.heartbeat)

            job.on_beat = on_beat
            yield
    except TimeoutError as error:
        if limit.expired():
            raise TimeoutError(SILENT.format(job.heartbeat)) from error
        raise
    finally:
        job.on_beat = None


async def run_in_thread(pool: Executor | None, function: Callable[[], Any]) -> Any:
    """Run a plain function in a thread. When cancelled, waits for the thread, then raises."""
    run = partial(contextvars.copy_context().run, _without_stop_iteration, function)
    future = asyncio.get_running_loop().run_in_executor(pool, run)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # cancelled again: a thread cannot be interrupted
        raise


def _without_stop_iteration(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # a future cannot hold it
        raise RuntimeError("the task raised StopIteration") from error


def functions(registry: Registry) -> list[tuple[str, TaskFunction]]:
    """The registry's tasks in the form of the `functions` option of SAQ's own worker.

    There too, payloads are checked, and a heartbeat, `NoRetryError` and a payload of another
    release have the same effect as in our worker.
    """
    heartbeats = Heartbeats()

    def runner(task: Task) -> TaskFunction:
        async def run(context: dict[str, Any], /, **payload: Any) -> Any:
            job, loop = context["job"], asyncio.get_running_loop()
            if LARGE_PAYLOAD in job.meta:
                payload = await job.queue.payload(job)
            own = Context(context, loop=loop, heartbeat_manager=heartbeats)
            try:
                call = Call(task, task.decode(payload))
                async with _heartbeat_checked(job):
                    if call.is_async:
                        return await call(own)
                    return await run_in_thread(None, partial(call, own))
            except InvalidPayloadError as error:
                job.unrunnable = str(error)
                raise
            except NoRetryError:
                job.is_final = True  # only a LeasedJob reads it; SAQ's own job gets no retries
                job.retries = 0 if not isinstance(job, LeasedJob) else job.retries
                raise

        return run

    return [
        (name, runner(task))
        for task in registry.tasks.values()
        for name in (task.name, *task.aliases)
    ]
