"""The tasks of this suite, in a registry of their own."""

import asyncio
import time
from typing import Any

from saq import Job

from service.queue import Context, NoRetryError, Registry

registry = Registry()
task = registry.task


@task
async def echo(ctx: Context, *, value: Any = None) -> Any:
    return value


@task
def echo_in_thread(ctx: Context, *, value: Any = None) -> Any:
    return value


@task(retries=3, retry_delay=0.3, backoff=False)
async def fail(ctx: Context, *, times: int = 1000) -> str:
    if ctx.job.attempts <= times:
        raise ValueError(f"broken in attempt {ctx.job.attempts}")
    return "worked at last"


@task(retries=3, retry_delay=0)
async def give_up(ctx: Context) -> None:
    raise NoRetryError("no such address")


@task(retries=1)
async def sleep(ctx: Context, *, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "slept"


OPEN: set[str] = set()


@task(retries=1)
async def wait_to_be_opened(ctx: Context, *, gate: str) -> str:
    while gate not in OPEN:
        await asyncio.sleep(0.02)
    return "open"


NOTES: list[Any] = []


@task
async def note(ctx: Context, *, value: Any) -> None:
    NOTES.append(value)


@task
async def spread(ctx: Context, *, count: int) -> None:
    queue = ctx.job.get_queue()
    await queue.enqueue("echo")
    await ctx["queue"].enqueue_many(
        Job("note", kwargs={"value": number}) for number in range(count - 1)
    )


@task
def spread_in_thread(ctx: Context) -> None:
    asyncio.run(ctx["queue"].enqueue("echo"))


@task
async def count_from(ctx: Context, *, number: int) -> int:
    return number + 1


@task(retries=1)
def wait_to_be_cancelled(ctx: Context) -> bool:
    deadline = time.monotonic() + 30
    while not ctx.cancelled and time.monotonic() < deadline:
        time.sleep(0.05)
    return ctx.cancelled


@task
async def report(ctx: Context) -> None:
    await ctx.progress(40, "under way")
    await asyncio.sleep(30)


@task
async def return_unstorable(ctx: Context) -> object:
    return object()


ticking = Registry()
"""One that does nothing but tick."""


@ticking.scheduled_task(every="1 second")
async def tick(ctx: Context) -> None:
    pass


several = Registry()
"""Tasks of three queues."""


@several.task
async def write(ctx: Context, *, value: Any = None) -> str:
    NOTES.append("default")
    return ctx.job.get_queue().name


@several.task(queue="reports", retries=3, retry_delay=0.1)
async def build(ctx: Context, *, value: Any = None, failures: int = 0) -> str:
    if ctx.job.attempts <= failures:
        raise ValueError("broken")
    NOTES.append("reports")
    return ctx.job.get_queue().name


@several.task(queue="mail")
async def send(ctx: Context, *, gate: str | None = None) -> str:
    while gate is not None and gate not in OPEN:
        await asyncio.sleep(0.02)
    NOTES.append("mail")
    return ctx.job.get_queue().name


ticking_elsewhere = Registry()
"""One task, which ticks in a queue of its own."""


@ticking_elsewhere.scheduled_task(every="1 second", queue="reports")
async def tick_elsewhere(ctx: Context) -> None:
    pass
