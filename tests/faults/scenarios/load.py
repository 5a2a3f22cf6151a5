"""Jobs coming in while something breaks."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from service.db import UNAVAILABLE
from tests.faults.arena import Arena
from tests.faults.workers import WorkerProcess


@dataclass
class Load:
    """How the enqueues went."""

    refused: int = 0
    slowest_s: float = 0.0


@contextlib.asynccontextmanager
async def steady_load(
    arena: Arena, jobs_per_second: float, *, seconds_max: float = 0.0, **options: Any
) -> AsyncIterator[Load]:
    """Enqueue jobs of random length, one after the other, until the block ends.

    An enqueue that fails is not acknowledged, and the next one comes as if nothing had been.
    """
    tasks: set[asyncio.Task[None]] = set()

    load = Load()

    async def enqueue() -> None:
        started = time.monotonic()
        try:
            await arena.enqueue(seconds=arena.random.uniform(0, seconds_max), **options)
        except UNAVAILABLE:
            load.refused += 1
        load.slowest_s = max(load.slowest_s, time.monotonic() - started)

    async def keep_on() -> None:
        while True:
            task = asyncio.create_task(enqueue())
            tasks.add(task)
            task.add_done_callback(tasks.discard)
            await asyncio.sleep(1 / jobs_per_second)

    feeding = asyncio.create_task(keep_on())
    try:
        yield load
    finally:
        feeding.cancel()
        await asyncio.wait([feeding, *tasks])


async def fill(arena: Arena, worker: WorkerProcess, count: int, **options: Any) -> list[str]:
    """Enqueue long jobs until `worker` runs `count` of them; the keys it runs."""
    await arena.enqueue(count=count, **options)

    def running() -> list[str]:
        return [run.key for run in arena.ledger.runs() if run.pid == worker.pid]

    return list(await arena.wait(lambda: len(running()) >= count and running(), "jobs run"))


def seconds_until_run_again(arena: Arena, pid: int, hurt_at: float) -> list[float]:
    """For each job that a worker had begun and not ended: how long until somebody began it anew."""
    runs = arena.ledger.runs()
    orphans = {run.key for run in runs if run.pid == pid and run.ended_at is None}
    return [
        min(again, default=time.monotonic()) - hurt_at
        for key in orphans
        if (again := [run.started_at for run in runs if run.key == key and run.pid != pid]) or True
    ]


async def run_again(arena: Arena, figure: str, pids: list[int], *, since: float) -> None:
    """Hold the time until every job of these workers has begun elsewhere to its bound."""
    before = {run.key for run in arena.ledger.runs() if run.pid in pids and run.ended_at is None}
    assert before, "the fault hit nothing"

    def has_begun() -> bool:
        return before <= {run.key for run in arena.ledger.runs() if run.pid not in pids}

    await arena.time(figure, has_begun, since=since)
