"""A queue's connections belong to the event loop in which it was connected.

A plain function runs in a thread. When it calls the queue from an event loop of its own, as in
`asyncio.run(job.refresh())`, the call is sent to the queue's event loop.
"""

import asyncio
import functools
from collections.abc import AsyncIterator, Callable
from typing import Any

# The methods of SAQ's queue and ours that use the backend's connections.
CALLS = (
    "enqueue", "enqueue_many", "dequeue", "finish", "retry", "abort", "finish_abort", "update",
    "hand_back", "job", "jobs", "get_job_status", "count", "info", "stats", "schedule", "sweep",
    "prune", "clear", "retry_failed", "find_record", "list_records", "search_records",
    "worker_info", "write_worker_info", "notify", "listen", "ping", "payload", "now", "pause",
    "resume", "live_workers", "note_runs", "read_runs", "why_waiting",
    "attempts", "list_workers", "drain_worker", "running", "causes", "relatives",
)  # fmt: skip


def runs_in_another_thread(loop: asyncio.AbstractEventLoop | None) -> bool:
    """Is that loop running in another thread?"""
    try:
        here = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    return loop is not here and loop is not None and loop.is_running()


def on_queue_loop(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method, with a coroutine that may be awaited in any thread."""

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
    """The same for an async generator: each step runs in the queue's loop."""

    async def step(found: AsyncIterator[Any]) -> tuple[bool, Any]:
        try:
            return True, await anext(found)
        except StopAsyncIteration:  # a future cannot hold it
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
    """Wrap the calls of a queue class, so that they may be awaited in any thread."""
    methods = {name: getattr(queue, name) for name in (*CALLS, "iter_jobs")}
    if any(getattr(method, "__isabstractmethod__", False) for method in methods.values()):
        return  # abstract: a wrapper here would hide the method of another base class
    for name, method in methods.items():
        if not hasattr(method, "is_on_own_loop"):
            wrap = iterate_on_queue_loop if name == "iter_jobs" else on_queue_loop
            setattr(queue, name, wrap(method))
