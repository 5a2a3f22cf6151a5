"""Workers whose clocks are wrong; the database's clock is right."""

import asyncio
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.faults.arena import Arena
from tests.faults.tasks import TICK_SECONDS

LIBRARIES = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
CLOCKS = {"an hour ahead": "+3600", "an hour behind": "-3600", "twice as fast": "+0 x2"}


def wrong_clock(setting: str) -> dict[str, str]:
    """The environment of a process with that clock; how long things take stays as it is."""
    if not LIBRARIES:
        pytest.skip("F24 NOT RUN: libfaketime (Debian: faketime) is not installed")
    return {
        "LD_PRELOAD": str(LIBRARIES[0]),
        "FAKETIME": setting,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }


async def wrong_clocks(arena: Arena) -> None:
    """One worker right, one an hour ahead, one an hour behind, one twice as fast, for a minute."""
    for setting in CLOCKS.values():
        await arena.start_workers(
            concurrency=4, environment={"FAULT_TICKS": "1"} | wrong_clock(setting)
        )
    await arena.start_workers(concurrency=4, environment={"FAULT_TICKS": "1"})
    await arena.enqueue(count=8, seconds=45, timeout=60)
    started = time.monotonic()
    due: dict[str, int] = {}
    for _ in range(40):
        at = int(time.time() + arena.random.uniform(2, 45)) + 1
        (key,) = await arena.enqueue(scheduled=at)
        due[key] = at
    await asyncio.sleep(arena.size(full=65, short=15))
    await arena.at_rest(30)
    offset = time.time() - time.monotonic()
    late = [run.started_at + offset - due[run.key] for run in arena.ledger.runs() if run.key in due]
    arena.hold("early_s", max(-min(late), 0.0))
    arena.hold("late_s", max(late))
    ticks = [line for line in arena.ledger.events("tick") if line["at"] > started]
    times = Counter(round((line["at"] + offset) / TICK_SECONDS) for line in ticks)
    arena.hold("ticks_twice", sum(count - 1 for count in times.values()))
    wanted = range(min(times, default=0), max(times, default=0) + 1)
    arena.hold("ticks_missed", sum(tick not in times for tick in wanted) + (not times))
