"""The jobs of the fault list: they write the ledger, and misbehave on request.

One set of functions for both engines: ours finds them in the registry, stock SAQ by its settings.
"""

import asyncio
import ctypes
import os
import resource
import signal
import sys
import time
from pathlib import Path

from service.queue import Context, on_startup, task
from tests.faults.ledger import Ledger

LEDGER_VARIABLE = "FAULT_LEDGER"
TICK_SECONDS = 10  # between the ticks of `ticks.py`
# Once this file is there, jobs stop taking their time.
HURRY = Path(os.environ.get(LEDGER_VARIABLE, os.devnull)).with_suffix(".hurry")  # noqa: TID251
LEDGER = Ledger(Path(os.environ.get(LEDGER_VARIABLE, os.devnull)))  # noqa: TID251 - no setting


@on_startup
async def ready(ctx: Context) -> None:
    LEDGER.write("worker start")


@task(retry_delay=0)
async def work(ctx: Context, *, seconds: float = 0.0) -> str:
    """Take `seconds`, and be cancelled if it must be."""
    job = ctx["job"]
    run = LEDGER.start(job.key, job.attempts)
    deadline = time.monotonic() + seconds
    while not HURRY.exists() and (left := deadline - time.monotonic()) > 0:
        await asyncio.sleep(min(left, 0.5))
    LEDGER.end(run)
    return "worked"


@task(retry_delay=0)
async def connect_anew(ctx: Context, *, seconds: float = 0.0) -> str:
    """Ask the application's database something over a connection of its own."""
    job = ctx["job"]
    run = LEDGER.start(job.key, job.attempts)
    await ctx.pool.expire_connections()
    await ctx.pool.fetchval("SELECT pg_sleep($1)", seconds)
    LEDGER.end(run)
    return "connected"


@task(retry_delay=0)
def block(ctx: Context, *, seconds: float) -> str:
    """The same in a thread, which nothing can cancel."""
    job = ctx["job"]
    run = LEDGER.start(job.key, job.attempts)
    time.sleep(seconds)
    LEDGER.end(run)
    return "worked"


@task(retry_delay=0)
async def ignore_cancel(ctx: Context, *, seconds: float) -> None:
    """The same, and no cancellation counts."""
    job = ctx["job"]
    run = LEDGER.start(job.key, job.attempts)
    deadline = time.monotonic() + seconds
    while not HURRY.exists() and (left := deadline - time.monotonic()) > 0:
        try:
            await asyncio.sleep(min(left, 0.5))
        except asyncio.CancelledError:
            continue
    LEDGER.end(run)


@task(retry_delay=0)
async def poison(ctx: Context, *, how: str, seconds: float = 0.0) -> None:
    """Take the worker along."""
    job = ctx["job"]
    run = LEDGER.start(job.key, job.attempts)
    if how == "exit":
        os._exit(3)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "sys_exit":
        sys.exit(3)
    if how == "interrupt":
        raise KeyboardInterrupt
    if how == "memory":
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        resource.setrlimit(resource.RLIMIT_AS, (4 << 30, hard))
        bytearray(64 << 30)
    if how == "recursion":
        await _recurse()
    if how == "hold_gil":  # PyDLL keeps the interpreter's lock: no other thread runs either
        ctypes.PyDLL(None).usleep(int(seconds * 1_000_000))
    LEDGER.end(run)


async def _recurse() -> None:
    await _recurse()
