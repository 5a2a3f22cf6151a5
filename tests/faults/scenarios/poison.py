"""Jobs that take their worker along, and rows that no job can be read from."""

import asyncio
import json
import time

from tests.faults.arena import Arena

WAYS = ("exit", "segfault", "sys_exit", "interrupt", "memory", "recursion")
GIL_SECONDS = 25


async def poisonous_jobs(arena: Arena) -> None:
    """One job for each way to end a worker, among innocents; a dead worker is replaced at once."""
    await arena.enqueue(count=3 * len(WAYS), seconds=1.0, timeout=600)
    # One attempt each: some only raise an error, and a retry would look like a start without cause.
    poisons = {how: await arena.engine.enqueue("poison", retries=1, how=how) for how in WAYS}
    workers = await arena.start_workers(2, concurrency=4)
    deaths = 0

    async def is_over() -> bool:
        nonlocal deaths
        for worker in [one for one in workers if not one.is_alive]:
            deaths += 1
            arena.victims.add(worker.pid)
            workers.remove(worker)
            workers.append(arena.spawn(concurrency=4))
        return await arena.is_at_rest()

    asked = time.monotonic()
    await arena.wait(is_over, "every poison has ended", 150)
    arena.note("over_after_s", time.monotonic() - asked)
    starts = [sum(run.key == key for run in arena.ledger.runs()) for key in poisons.values()]
    arena.hold("starts_of_a_poison", max(starts))
    arena.hold("workers_killed", deaths)
    stored: int = await arena.database.fetchval(
        "SELECT count(*) FROM saq_jobs WHERE status = 'failed' AND key = ANY($1::text[])",
        list(poisons.values()),
    )
    arena.hold("not_failed_for_good", len(poisons) - stored)
    await arena.at_rest(1)


async def interpreter_held(arena: Arena) -> None:
    """A job holds the interpreter's lock for 25 s: no heartbeat, no timeout, nothing else runs."""
    (stuck,) = await arena.start_workers(concurrency=3)
    await arena.enqueue(count=2, seconds=300)
    await arena.wait(lambda: len(arena.ledger.runs()) == 2, "innocents run")
    await arena.engine.enqueue("poison", how="hold_gil", seconds=GIL_SECONDS)
    await arena.wait(lambda: len(arena.ledger.runs()) == 3, "the job holds the lock")
    held_at = time.monotonic()
    arena.victims.add(stuck.pid)
    arena.hurry()
    await arena.start_workers()

    def innocents_ended() -> bool:
        return sum(run.ended_at is not None for run in arena.ledger.runs()) >= 2

    await arena.time("innocents_run_again_s", innocents_ended, since=held_at)
    await arena.at_rest(4 * GIL_SECONDS)


async def malformed_rows(arena: Arena) -> None:
    """Rows that a stranger, or another release, has written into the jobs' table."""
    (worker,) = await arena.start_workers()
    good = json.dumps({"function": "work", "kwargs": {}, "key": "k", "queue": "default"}).encode()
    blobs = [
        b"", b"\x00", b"null", b"[]", b'"work"', b"{", b"{}", b'{"function": null}',
        b'{"function": 5}', b'{"function": "work", "kwargs": [1]}', good[:-1], good + b"}",
        b'{"function": "work", "kwargs": {"seconds": "NaN"}}',
        b'{"function": "work", "timeout": "soon"}', b'{"function": "work", "retries": null}',
        b'{"function": "work", "meta": 7}', b'{"function": "work", "no_such_field": 1}',
        b'{"function": "work", "queue": "another"}', b"[" * 100_000, b"9" * 100_000,
        b'{"function": "work", "kwargs": {"seconds": 1e999}}', b"\xff\xfe",
        b'{"function": "work", "kwargs": {"text": "' + b"x" * 10_000_000 + b'"}}',
    ]  # fmt: skip
    for _ in range(arena.size(full=200, short=40)):
        mutated = bytearray(good)
        for _ in range(arena.random.randrange(1, 4)):
            mutated[arena.random.randrange(len(mutated))] = arena.random.randrange(256)
        blobs.append(bytes(mutated))
    keys = [f"malformed-{number}" for number in range(len(blobs))]
    await arena.database.executemany(
        "INSERT INTO saq_jobs (key, job, queue, status) VALUES ($1, $2, 'default', 'queued')",
        list(zip(keys, blobs, strict=True)),
    )
    await arena.database.execute("SELECT pg_notify('saq:default', 'saq:enqueue')")
    inserted = time.monotonic()
    (innocent,) = await arena.enqueue(priority=100)
    await arena.time(
        "innocent_done_s",
        lambda: arena.has_ended(innocent),
        since=inserted,
    )

    async def all_ended() -> bool:
        open_now: int = await arena.database.fetchval(
            "SELECT count(*) FROM saq_jobs WHERE key = ANY($1::text[])"
            " AND status NOT IN ('complete', 'failed') AND error IS NULL",
            keys,
        )
        return open_now == 0

    await arena.time("all_settled_s", all_ended, since=inserted)
    silent: int = await arena.database.fetchval(
        "SELECT count(*) FROM background_jobs WHERE key = ANY($1::text[])"
        " AND status = 'failed' AND coalesce(error, '') = ''",
        keys,
    )
    arena.hold("failed_without_reason", silent)
    arena.hold("worker_died", float(not worker.is_alive))
    page = await arena.engine.queue.info(jobs=True)
    assert page["workers"], "the page of the queue still works"
    await arena.engine.queue.sweep()
    # what a random change left readable names a task or options that exist, or waits for a release
    await arena.database.execute(
        "DELETE FROM saq_jobs WHERE key LIKE 'malformed-%' AND status = 'queued'"
    )
    await asyncio.sleep(1)
    await arena.at_rest(10)
