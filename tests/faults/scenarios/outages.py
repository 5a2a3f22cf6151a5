"""Postgres goes away, comes back, or refuses: nothing is lost, and work goes on by itself."""

import asyncio
import time
from itertools import pairwise

import asyncpg
import httpx

from service.contract import LIVE_PATH, READY_PATH
from tests.faults.arena import Arena
from tests.faults.scenarios.load import fill, steady_load
from tests.ports import free_port


async def restarts(arena: Arena) -> None:
    """Stop and start Postgres under load, by turns at once and politely."""
    await arena.start_workers(2)
    outages: list[tuple[float, float]] = []
    async with steady_load(arena, jobs_per_second=30, seconds_max=0.3):
        for number in range(arena.size(full=8, short=2)):
            await asyncio.sleep(arena.random.uniform(4, 6))
            down = time.monotonic()
            await asyncio.to_thread(arena.server.stop, ("immediate", "fast")[number % 2])
            await asyncio.sleep(arena.random.uniform(0, 2))
            await asyncio.to_thread(arena.server.start)
            outages.append((down, time.monotonic()))
        await asyncio.sleep(8)
    await arena.at_rest(60)
    starts = sorted(run.started_at for run in arena.ledger.runs())
    felt = [
        after - up
        for down, up in outages
        for before, after in pairwise(starts)
        if before < up < after
    ]
    arena.hold("outage_felt_s", max(felt))


async def long_outage(arena: Arena) -> None:
    """Stop Postgres for 75 s; meanwhile jobs reach their end and nobody can be told."""
    seconds = arena.size(full=75, short=10)
    port = free_port()
    api = arena.spawn({"API_PORT": str(port), "API_AUTH": "off"}, command=("-m", "service", "api"))
    (worker,) = await arena.start_workers()
    await arena.wait(lambda: _answers(port, READY_PATH, 200), "the API is ready")
    await fill(arena, worker, 5, seconds=4)
    await fill(arena, worker, 10, task="block", seconds=4)
    size = worker.log_lines + api.log_lines
    await asyncio.to_thread(arena.server.stop)
    down = time.monotonic()
    await asyncio.sleep(seconds)
    arena.hold("live_failed", float(not await _answers(port, LIVE_PATH, 200)))
    arena.hold("ready_lied", float(not await _answers(port, READY_PATH, 503)))
    lines = worker.log_lines + api.log_lines - size
    await asyncio.to_thread(arena.server.start)
    up = time.monotonic()
    arena.hold("log_lines_per_s", lines / (up - down))
    await arena.time("written_after_s", arena.is_at_rest, since=up)
    arena.hold("run_again", len(arena.ledger.runs()) - len(arena.acknowledged))
    await arena.time("ready_after_s", lambda: _answers(port, READY_PATH, 200), since=up)
    await arena.enqueue()
    await arena.at_rest(20)


async def backends_killed(arena: Arena) -> None:
    """Terminate random backends, or cut connections after a random byte, twice a second."""
    await arena.start_workers(2)
    async with steady_load(arena, jobs_per_second=50, seconds_max=0.2):
        for number in range(arena.size(full=60, short=10)):
            await asyncio.sleep(0.5)
            if number % 2:
                arena.proxy.reset_after(arena.random.randrange(1, 4000))
            else:
                await arena.database.execute(
                    "SELECT pg_terminate_backend(pid) FROM (SELECT pid FROM pg_stat_activity"
                    " WHERE datname = current_database() AND application_name <> 'checker'"
                    " ORDER BY md5(pid::text || $1) LIMIT 1) AS one",
                    str(arena.random.random()),
                )
    await arena.at_rest(60)


async def table_locked(arena: Arena) -> None:
    """Hold an exclusive lock on the jobs' table for 30 s while workers are busy."""
    await arena.start_workers(2)
    async with steady_load(arena, jobs_per_second=20, seconds_max=0.5) as load:
        await asyncio.sleep(3)
        connection: asyncpg.Connection = await asyncpg.connect(arena.engine.dsn)
        async with connection.transaction():
            await connection.execute("LOCK TABLE saq_jobs IN ACCESS EXCLUSIVE MODE")
            await asyncio.sleep(30)
        released = time.monotonic()
        await connection.close()
        await arena.time(
            "goes_on_s",
            lambda: arena.has_begun(after=released),
            since=released,
        )
    arena.hold("enqueue_answers_s", load.slowest_s)
    await arena.at_rest(60)


async def _answers(port: int, path: str, status: int) -> bool:
    """Does the API answer with that status?"""
    try:
        async with httpx.AsyncClient(timeout=15) as http:
            return (await http.get(f"http://127.0.0.1:{port}{path}")).status_code == status
    except httpx.HTTPError:
        return False
