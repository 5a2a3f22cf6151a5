"""Calling a task's function with a payload as it was queued."""

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
    """A task's function with its checked arguments; only the context is missing."""

    task: Task
    arguments: dict[str, Any]

    @property
    def is_async(self) -> bool:
        return self.task.is_async

    def __call__(self, context: Context) -> Any:
        return self.task.function(context, **self.arguments)


def prepare(registry: Registry, name: str, payload: Mapping[str, Any]) -> Call:
    """The call that a job asks for. Raises `UnknownTaskError`, `InvalidPayloadError`."""
    task = registry.get(name)
    return Call(task, task.decode(payload))


@contextlib.asynccontextmanager
async def _while_it_lives(job: Job) -> AsyncIterator[None]:
    """Raises `TimeoutError` where a job with a heartbeat says nothing for so long."""
    if not job.heartbeat or not isinstance(job, LeasedJob):
        yield
        return
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(job.heartbeat) as limit:

            def on_beat() -> None:
                with contextlib.suppress(RuntimeError):  # too late
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
    """Run a plain function in a thread; a cancellation waits for it to end, then counts."""
    run = partial(contextvars.copy_context().run, _without_stop_iteration, function)
    future = asyncio.get_running_loop().run_in_executor(pool, run)
    try:
        return await asyncio.shield(future)
    except asyncio.CancelledError:
        while not future.done():
            try:
                await asyncio.wait([future])
            except asyncio.CancelledError:
                continue  # asked twice; the thread does not hear it the second time either
        raise


def _without_stop_iteration(function: Callable[[], Any]) -> Any:
    try:
        return function()
    except StopIteration as error:  # no future can carry it
        raise RuntimeError("the task raised StopIteration") from error


def functions(registry: Registry) -> list[tuple[str, TaskFunction]]:
    """The registry as SAQ's own worker takes it: checked on receipt there too.

    A heartbeat, `NoRetryError` and a payload of another release count there as they do in ours.
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
                async with _while_it_lives(job):
                    if call.is_async:
                        return await call(own)
                    return await run_in_thread(None, partial(call, own))
            except InvalidPayloadError as error:
                job.unrunnable = str(error)
                raise
            except NoRetryError:
                job.is_final = True  # known to the jobs of a queue of ours
                job.retries = 0 if not isinstance(job, LeasedJob) else job.retries
                raise

        return run

    return [
        (name, runner(task))
        for task in registry.tasks.values()
        for name in (task.name, *task.aliases)
    ]
