"""Calling a task's function with a payload as it was queued."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from service.queue.context import Context
from service.queue.registry import Registry, Task, TaskFunction


async def invoke(
    task: Task,
    context: Context,
    payload: dict[str, Any],
    in_thread: Callable[[Callable[[], Any]], Awaitable[Any]],
) -> Any:
    """Run a task with a payload as it was queued; what the function returns."""
    arguments = task.decode(payload)
    if inspect.iscoroutinefunction(task.function):
        return await task.function(context, **arguments)
    return await in_thread(partial(task.function, context, **arguments))


def functions(registry: Registry) -> list[tuple[str, TaskFunction]]:
    """The registry as SAQ's own worker takes it: checked on receipt there too."""

    def runner(task: Task) -> TaskFunction:
        async def run(context: dict[str, Any], /, **payload: Any) -> Any:
            return await invoke(task, Context(context), payload, asyncio.to_thread)

        return run

    return [
        (name, runner(task))
        for task in registry.tasks.values()
        for name in (task.name, *task.aliases)
    ]
