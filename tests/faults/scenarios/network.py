"""The network between the workers and Postgres goes wrong, and Postgres is well."""

import asyncio
import time
from functools import partial

from tests.faults.arena import Arena
from tests.faults.scenarios.load import steady_load


async def half_open(arena: Arena, concurrency: int) -> None:
    (worker,) = await arena.start_workers(concurrency=concurrency)
    await arena.enqueue(count=20)
    await arena.wait(lambda: len(arena.ledger.events("end")) == 20, "warm")
    for _ in range(arena.size(full=2, short=1)):
        await asyncio.sleep(arena.random.uniform(0.5, 2.5))
        assert arena.proxy.freeze() >= 2, "the listener and a connection of the pool"
        frozen_at = time.monotonic()
        (key,) = await arena.enqueue()
        await arena.time(
            "picked_up_s",
            partial(arena.has_begun, key),
            since=frozen_at,
        )
    await arena.at_rest(30)
    assert worker.is_alive


async def half_open_idle_one(arena: Arena) -> None:
    """Every connection of an idle worker with one slot goes half-open; new ones are fine."""
    await half_open(arena, 1)


async def half_open_idle_ten(arena: Arena) -> None:
    """The same with ten slots."""
    await half_open(arena, 10)


async def half_open_busy(arena: Arena) -> None:
    """Every connection of two workers under load goes half-open, twice."""
    await arena.start_workers(2)
    async with steady_load(arena, jobs_per_second=20, seconds_max=1.0):
        for _ in range(2):
            await asyncio.sleep(5)
            arena.proxy.freeze()
            frozen_at = time.monotonic()
            (key,) = await arena.enqueue()
            await arena.time(
                "picked_up_s",
                partial(arena.has_begun, key),
                since=frozen_at,
            )
    await arena.at_rest(60)


async def black_hole(arena: Arena) -> None:
    """Every packet is dropped for 45 s, of old connections and of new ones, then all is healed."""
    await arena.start_workers(2)
    await arena.enqueue(count=10, seconds=arena.size(full=25, short=3), timeout=600)
    await arena.wait(lambda: len(arena.ledger.runs()) == 10, "jobs run")
    arena.proxy.black_hole()
    await asyncio.sleep(arena.size(full=30, short=5))
    waiting = await arena.enqueue(count=10)
    arena.proxy.heal()
    healed = time.monotonic()
    await arena.time(
        "goes_on_s",
        lambda: any(run.key in waiting for run in arena.ledger.runs()),
        since=healed,
    )
    await arena.at_rest(60)
    arena.hold("run_again", len(arena.ledger.runs()) - 20)
