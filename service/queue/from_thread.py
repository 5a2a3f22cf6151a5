"""A queue's connections belong to the event loop in which it was connected.

A job that is a plain function runs in a thread. What it asks of the queue with a loop of its own,
as in `asyncio.run(job.refresh())`, is done in the queue's.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

# Of SAQ's queue and ours: what talks to the backend.
CALLS = (
    "enqueue", "enqueue_many", "dequeue", "finish", "retry", "abort", "finish_abort", "update",
    "hand_back", "job", "jobs", "get_job_status", "count", "info", "stats", "schedule", "sweep",
    "prune", "clear", "retry_failed", "find_record", "list_records", "worker_info",
    "write_worker_info", "notify", "listen", "ping", "payload", "now",
)  # fmt: skip


def runs_in_another_thread(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Does that loop run, in another thread than this?"""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    return loop is not here and loop is not None and loop.is_running()


def on_queue_loop(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, whose coroutine may be awaited in any thread."""

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        if runs_in_another_thread(self._loop):
            return _call_there(self._loop, method(self, *args, **kwargs))
        return method(self, *args, **kwargs)

    call.is_on_queue_loop = True  # type: ignore[attr-defined]
    return call


async def _call_there(loop: asyncio.AbstractEventLoop, coroutine: Any) -> Any:
    return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(coroutine, loop))


def iterate_on_queue_loop(method: Callable[..., Any]) -> Callable[..., Any]:
    """The same for an async generator: each step is made in the queue's loop."""

    async def step(found: AsyncIterator[Any]) -> tuple[bool, Any]:
        try:
            return True, await anext(found)
        except StopAsyncIteration:  # no future can carry it
            return False, None

    async def iterate(loop: asyncio.AbstractEventLoop, found: AsyncIterator[Any]) -> Any:
        while (answer := await _call_there(loop, step(found)))[0]:
            yield answer[1]

    @functools.wraps(method)
    def call(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = method(self, *args, **kwargs)
        return iterate(self._loop, found) if runs_in_another_thread(self._loop) else found

    call.is_on_queue_loop = True  # type: ignore[attr-defined]
    return call


def answer_any_thread(queue: type[Any]) -> None:
    """Have all the calls of a whole class of queues answered whichever thread awaits them."""
    methods = {name: getattr(queue, name) for name in (*CALLS, "iter_jobs")}
    if any(getattr(method, "__isabstractmethod__", False) for method in methods.values()):
        return  # an interface: a method put here would hide that of a class beside it
    for name, method in methods.items():
        if not hasattr(method, "is_on_own_loop"):
            wrap = iterate_on_queue_loop if name == "iter_jobs" else on_queue_loop
            setattr(queue, name, wrap(method))
