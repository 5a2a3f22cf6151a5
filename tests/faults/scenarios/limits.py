"""Where the engine has to be fair: to groups, to other workers, to due times and priorities."""

import asyncio
import time
from collections import defaultdict
from itertools import pairwise

from saq import Job

from tests.faults.arena import Arena


async def groups(arena: Arena) -> None:
    """Jobs of five groups among jobs of none, on four workers."""
    await arena.start_workers(4, concurrency=4)
    group_of: dict[str, str] = {}
    for number in range(arena.size(full=100, short=30)):
        for group in ("a", "b", "c", "d", "e")[: 1 + number % 5]:
            (key,) = await arena.enqueue(seconds=0.05, group_key=group)
            group_of[key] = group
    (slow,) = await arena.enqueue(seconds=12, group_key="slow")
    await arena.wait(lambda: arena.has_begun(slow), "slow runs")
    asked = time.monotonic()
    plain = await arena.enqueue(count=20)
    await arena.time(
        "ungrouped_waits_s",
        lambda: arena.has_ended(*plain),
        since=asked,
    )
    await arena.at_rest(90)
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for run in arena.ledger.runs():
        if run.key in group_of:
            spans[group_of[run.key]].append((run.started_at, run.ended_at or 0.0))
    together = sum(
        later[0] < earlier[1]
        for group in spans.values()
        for earlier, later in pairwise(sorted(group))
    )
    arena.hold("two_of_a_group_at_once", together)


async def claimed_ahead(arena: Arena) -> None:
    """A worker has claimed ahead when all its slots fill up with long jobs; another one is idle."""
    lengths = [60.0, 60.0, 60.0, 0.3, 60.0, 0.0, 0.0, 0.0]
    keys = [
        (await arena.enqueue(seconds=seconds, priority=number, timeout=600, delay=1))[0]
        for number, seconds in enumerate(lengths)
    ]
    await asyncio.sleep(2)
    await arena.start_workers(concurrency=4)
    await arena.wait(lambda: arena.has_begun(keys[4]), "the first worker is full")
    await arena.start_workers(concurrency=4)
    since = time.monotonic()
    await arena.time(
        "waits_for_free_slot_s",
        lambda: arena.has_begun(*keys),
        since=since,
    )
    arena.hurry()
    await arena.at_rest(10)


async def due_times(arena: Arena) -> None:
    """Delayed jobs on an idle worker: how late they start, and whether any is early."""
    await arena.start_workers()
    count = arena.size(full=40, short=10)
    due: dict[str, int] = {}
    for _ in range(count):
        at = int(time.time() + arena.random.uniform(2, 12)) + 1
        (key,) = await arena.enqueue(scheduled=at)
        due[key] = at
    await arena.at_rest(30)
    offset = time.time() - time.monotonic()
    late = sorted(run.started_at + offset - due[run.key] for run in arena.ledger.runs())
    arena.hold("early_s", max(-late[0], 0.0))
    arena.hold("late_median_s", late[len(late) // 2])
    arena.hold("late_worst_s", late[-1])


async def priorities(arena: Arena) -> None:
    """Two hundred jobs of random priority wait for a worker with a hundred slots."""
    numbers = list(range(200))
    arena.random.shuffle(numbers)
    keys = {}
    for number in numbers:
        (key,) = await arena.enqueue(priority=number)
        keys[key] = number
    await arena.start_workers(concurrency=100)
    await arena.at_rest(30)
    order = [keys[run.key] for run in arena.ledger.runs()]
    arena.hold("inversions", sum(a > b for a, b in pairwise(order)))


async def sequence_at_its_end(arena: Arena) -> None:
    """The counter behind SAQ's unused column has passed what an int4 holds."""
    await arena.database.execute("SELECT setval('saq_jobs_lock_key_seq', 2147483646)")
    await arena.start_workers()
    try:
        await arena.enqueue(count=10)
    except Exception as error:  # whichever driver says it
        arena.hold("refused", 1, is_over=True)
        raise AssertionError from error
    arena.hold("refused", 0)
    await arena.at_rest(20)
    used = await arena.database.fetchval("SELECT last_value FROM saq_jobs_lock_key_seq")
    await arena.engine.queue.enqueue(Job("work", key="again", scheduled=int(time.time()) + 600))
    for _ in range(10):
        await arena.engine.queue.enqueue(Job("work", key="again", scheduled=int(time.time()) + 600))
    after = await arena.database.fetchval("SELECT last_value FROM saq_jobs_lock_key_seq")
    arena.note("burnt_by_refused_enqueues", after - used - 1)
