"""Tasks that write into the ledger when they ran, and fail in many ways."""

import asyncio
import os
import signal
import time
from typing import Any, Literal

import httpx

from service.queue import Context, after_process, before_process, on_shutdown, on_startup, task


async def note(ctx: Context, event: str) -> None:
    """Write a line of the ledger, which stays even if this process dies next."""
    job = ctx.get("job")
    await ctx.pool.execute(
        "INSERT INTO ledger (job_key, attempt, event) VALUES ($1, $2, $3)",
        job.key if job else None,
        job.attempts if job else None,
        event,
    )


@on_startup
async def start(ctx: Context) -> None:
    if os.environ.get("FAIL_AT_START"):  # noqa: TID251
        raise RuntimeError("the start-up hook is broken")
    await note(ctx, "worker start")


@on_shutdown
async def stop(ctx: Context) -> None:
    await note(ctx, "worker stop")


@before_process
async def before(ctx: Context) -> None:
    if ctx.job.function == "hooked":
        await note(ctx, "before")
        if (ctx.job.kwargs or {}).get("fail") == "before":
            raise RuntimeError("the before hook failed")


@after_process
async def after(ctx: Context) -> None:
    if ctx.job.function == "hooked":
        await note(ctx, f"after {type(ctx.get('exception')).__name__}")
        if (ctx.job.kwargs or {}).get("fail") == "after":
            raise RuntimeError("the after hook failed")


@task(retry_delay=0)
async def hooked(ctx: Context, *, fail: str = "") -> None:
    await note(ctx, "run")
    if fail == "run":
        raise RuntimeError("the run failed")


@task(retry_delay=0, timeout=60)
async def sleep(ctx: Context, *, seconds: float) -> str:
    await note(ctx, "start")
    await asyncio.sleep(seconds)
    await note(ctx, "end")
    return "slept"


@task(retry_delay=0, timeout=60)
async def block_the_loop(ctx: Context, *, seconds: float) -> None:
    await note(ctx, "start")
    time.sleep(seconds)
    await note(ctx, "end")


@task(retry_delay=0, timeout=60)
def sleep_in_thread(ctx: Context, *, seconds: float, path: str) -> str:
    with open(path, "a") as ledger:
        ledger.write("start\n")
    time.sleep(seconds)
    with open(path, "a") as ledger:
        ledger.write("end\n")
    return "slept"


@task(retry_delay=0, timeout=60)
async def sleep_through_cancel(ctx: Context, *, seconds: float) -> None:
    await note(ctx, "start")
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            await asyncio.sleep(deadline - time.monotonic())
        except asyncio.CancelledError:
            continue
    await note(ctx, "end")


@task(retry_delay=0, timeout=60)
async def report_steps(ctx: Context, *, steps: list[float], seconds: float = 0.5) -> str:
    for step in steps:
        await ctx.progress(step, f"at {step}")
        await asyncio.sleep(seconds)
    return "reported"


@task(retry_delay=0, timeout=60)
def report_from_thread(ctx: Context, *, steps: list[float]) -> bool:
    for step in steps:
        ctx.progress(step, f"at {step}")
    for _ in range(300):
        if ctx.cancelled:
            return True
        time.sleep(0.1)
    return False


@task(retry_delay=0, timeout=60, retries=1, heartbeat=1)
async def report_while_it_runs(ctx: Context, *, reports: int) -> str:
    for number in range(reports):
        await ctx.progress(number)
        await asyncio.sleep(0.6)
    await asyncio.sleep(0 if reports > 3 else 30)
    return "reported"


@task(retry_delay=0)
async def fail(ctx: Context, *, times: int = 1000, text: str = "broken") -> str:
    await note(ctx, "run")
    if ctx.job.attempts <= times:
        raise ValueError(text)
    return "worked at last"


@task(retry_delay=0)
async def cancel_itself(ctx: Context) -> None:
    raise asyncio.CancelledError


@task(retry_delay=0)
async def return_unstorable(ctx: Context) -> object:
    await note(ctx, "run")
    return object()


@task(retry_delay=0)
async def kill_worker(ctx: Context) -> None:
    await note(ctx, "run")
    os.kill(os.getpid(), signal.SIGKILL)


@task
async def awkward_names(
    ctx: Context, *, key: str, timeout: int, connection: str, queue: str = "q", status: str = "s"
) -> dict[str, Any]:
    return {
        "key": key, "timeout": timeout, "connection": connection, "queue": queue, "status": status,
    }  # fmt: skip


@task(retries=1)
async def sign_in(
    ctx: Context, *, password: str, fail: bool = False, secret: Literal["a", "b"] = "a"
) -> dict[str, Any]:
    """Tells its password in every way that a task can."""
    address = f"https://user:{password}@example.org/?access_token={password}&page=1"
    ctx.log.info("signing in", password=password, account={"keys": [{"apiKey": password}]})
    ctx.log.info(f"at {address}")
    await ctx.progress(50, f"at {address}")
    if fail:
        raise ValueError(f"the password {password!r} is wrong at {address}")
    return {"token": password, "at": [address], "token_count": len(password)}


@task(retry_delay=0, retries=2)
async def hand_on(ctx: Context, *, address: str, password: str) -> None:
    """Fails once; then a query, an HTTP call, and another job."""
    if ctx.job.attempts == 1:
        raise ValueError(password)
    await ctx.pool.fetchval("SELECT count(*) FROM ledger WHERE event = 'of nobody'")
    async with httpx.AsyncClient() as client:
        await client.get(f"{address}?access_token={password}")
    await ctx["queue"].enqueue("sleep", seconds=0)


@on_startup
def hang(ctx: Context) -> None:
    if seconds := os.environ.get("HANG_AT_START"):  # noqa: TID251
        time.sleep(float(seconds))


@on_shutdown
def hang_at_stop(ctx: Context) -> None:
    if seconds := os.environ.get("HANG_AT_STOP"):  # noqa: TID251
        time.sleep(float(seconds))


@task(retries=1)
async def let_sql_in(ctx: Context, *, name: str) -> str:
    """With an SQL injection, as nobody should write it."""
    found: str = await ctx.pool.execute(f"SELECT '{name}'")
    return found
