"""Calling a task's function with a payload as it was queued."""

import asyncio
import contextvars
from collections.abc import Callable, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass
from functools import partial
from typing import Any

from service.queue.context import Context
from service.queue.dispatch import LARGE_PAYLOAD
from service.queue.registry import Registry, Task, TaskFunction


@dataclass(frozen=True, slots=True)
class Call:
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


async def run_in_thread(pool: Executor, function: Callable[[], Any]) -> Any:
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
    """The registry as SAQ's own worker takes it: checked on receipt there too."""

    def runner(task: Task) -> TaskFunction:
        async def run(context: dict[str, Any], /, **payload: Any) -> Any:
            if LARGE_PAYLOAD in context["job"].meta:
                payload = await context["job"].queue.payload(context["job"])
            call = Call(task, task.decode(payload))
            own = Context(context, loop=asyncio.get_running_loop())
            if call.is_async:
                return await call(own)
            return await asyncio.to_thread(call, own)

        return run

    return [
        (name, runner(task))
        for task in registry.tasks.values()
        for name in (task.name, *task.aliases)
    ]
