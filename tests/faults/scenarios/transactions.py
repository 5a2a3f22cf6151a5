"""Enqueueing inside the caller's transaction, and with a key that must be unique."""

import asyncio
import time
from itertools import pairwise

import asyncpg
from saq import Status

from service.db import UNAVAILABLE
from service.queue import JobStateError
from tests.faults.arena import Arena

CALLERS = 10


async def crash_before_commit(arena: Arena) -> None:
    """Cut the caller's connection somewhere between BEGIN and COMMIT, ten thousand times."""
    await arena.database.execute("CREATE TABLE orders (key TEXT PRIMARY KEY)")
    trials = arena.size(full=10_000, short=300)
    numbers = iter(range(trials))

    async def order(key: str, connection: asyncpg.Connection, where: int) -> None:
        async with connection.transaction():
            await connection.execute("INSERT INTO orders VALUES ($1)", key)
            if where == 0:
                raise ConnectionAbortedError
            await arena.engine.enqueue_in(connection, "work", key=key)
            if where == 1:
                raise ConnectionAbortedError
            if where == 2:  # the answer to the COMMIT never comes
                asyncio.get_running_loop().call_soon(connection.terminate)

    async def caller() -> None:
        connection: asyncpg.Connection | None = None
        for number in numbers:
            try:
                if connection is None or connection.is_closed():
                    connection = await asyncpg.connect(arena.server.dsn(arena.database_name))
                await order(f"order-{number}", connection, arena.random.randrange(4))
            except ConnectionAbortedError:
                if connection is not None and arena.random.random() < 0.3:
                    connection.terminate()
            except UNAVAILABLE:
                pass
        if connection is not None:
            connection.terminate()

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await asyncio.sleep(1)  # for the server to end what was cut
    arena.hold(
        "mismatches",
        await arena.database.fetchval(
            "SELECT count(*) FROM orders FULL JOIN (SELECT key FROM saq_jobs"
            " WHERE key LIKE 'order-%') AS jobs USING (key)"
            " WHERE orders.key IS NULL OR jobs.key IS NULL"
        ),
    )
    committed = await arena.database.fetch("SELECT key FROM orders")
    assert 0 < len(committed) < trials, "some were cut and some were not"
    arena.acknowledged.update(row["key"] for row in committed)
    await arena.start_workers(concurrency=50)
    await arena.at_rest(60)


async def one_key_many_clients(arena: Arena) -> None:
    """Fifty clients enqueue the same key again and again, while workers finish it."""
    clients = [type(arena.engine)(arena.engine.dsn) for _ in range(arena.size(full=50, short=20))]
    rounds = arena.size(full=1000, short=50)
    await arena.start_workers(2, concurrency=4)
    accepted = 0

    async def call(number: int) -> None:
        nonlocal accepted
        client = clients[number]
        await client.open()
        for _ in range(rounds):
            key = await client.enqueue("work", key="the-one", seconds=0.01)
            accepted += key is not None
        await client.close()

    started = time.monotonic()
    await asyncio.gather(*(call(number) for number in range(len(clients))))
    arena.note("calls_per_s", len(clients) * rounds / (time.monotonic() - started))
    await arena.wait(arena.is_at_rest, "the last one has ended", 30)
    runs = [run for run in arena.ledger.runs() if run.key == "the-one"]
    ended = sorted((run.started_at, run.ended_at or 0.0) for run in runs)
    overlapping = sum(later[0] < earlier[1] for earlier, later in pairwise(ended))
    arena.hold("two_at_once", overlapping)
    arena.hold("accepted_and_not_run", abs(accepted - len(runs)))


async def abort_any_time(arena: Arena) -> None:
    """Abort jobs at random moments: while they wait, are claimed, run, end, have ended."""
    await arena.start_workers(2, concurrency=40)
    aborted_at: dict[str, float] = {}  # accepted while it waited
    stopping_at: dict[str, float] = {}  # accepted while it ran, or was about to
    refused: list[str] = []

    async def one() -> None:
        queue = arena.engine.queue
        job = await queue.enqueue(
            "work", seconds=arena.random.uniform(0, 4), timeout=60, retries=3,
            scheduled=int(time.time() + arena.random.uniform(0, 3)),
        )  # fmt: skip
        assert job is not None
        await asyncio.sleep(arena.random.uniform(0, 6))
        try:
            await queue.abort(job, "not wanted any more")
        except JobStateError:
            refused.append(job.key)
        else:
            found = aborted_at if job.status is Status.ABORTED else stopping_at
            found[job.key] = time.monotonic()

    await asyncio.gather(*(one() for _ in range(arena.size(full=300, short=50))))
    await arena.wait(arena.is_at_rest, "every job has ended", 30)
    status = {
        row["key"]: row["status"]
        for row in await arena.database.fetch("SELECT key, status FROM saq_jobs")
    }
    assert aborted_at, "none was aborted while it waited"
    assert stopping_at, "none was aborted while it ran"
    assert refused, "none had ended before"
    arena.hold("ended_changed", sum(status[key] != "complete" for key in refused))
    for run in arena.ledger.runs():
        if run.key in aborted_at:
            arena.hold("started_after_abort", 1)
        if run.key in stopping_at:
            arena.hold("ran_on_s", max((run.ended_at or 0.0) - stopping_at[run.key], 0.0))
    arena.hold("started_after_abort", 0)
    await arena.check()


async def abort_one_that_will_not_end(arena: Arena) -> None:
    """Abort a plain function of 8 s, then a job that would take minutes."""
    await arena.start_workers()
    queue = arena.engine.queue
    stubborn = await queue.enqueue("block", seconds=8, timeout=600, retries=3)
    willing = await queue.enqueue("work", seconds=300, timeout=600, retries=3)
    assert stubborn
    assert willing
    await arena.wait(lambda: arena.has_begun(stubborn.key, willing.key), "both run")
    await asyncio.sleep(1.5)  # stock SAQ does not look at younger ones
    await queue.abort(stubborn, "not wanted any more")
    await asyncio.sleep(1.5)
    await queue.abort(willing, "nor this one")
    asked = time.monotonic()

    async def is_aborted() -> bool:
        return bool(
            await arena.database.fetchval(
                "SELECT status = 'aborted' FROM saq_jobs WHERE key = $1", willing.key
            )
        )

    await arena.time("second_aborted_s", is_aborted, since=asked)
    await arena.at_rest(20)
