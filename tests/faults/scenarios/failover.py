"""A failover: the writer becomes read-only, another server the writer, at the same address."""

import asyncio
import time

import asyncpg

from tests.faults.arena import Arena
from tests.faults.scenarios.load import steady_load


async def writer_demoted(arena: Arena) -> None:
    """Promote a synchronous standby under load; connections to the old writer stay open."""
    old = arena.server
    await arena.enqueue_through_proxy()
    with old.standby() as new:
        await _set(arena.database, "synchronous_standby_names", "*")
        try:
            await arena.start_workers(2)
            async with steady_load(arena, jobs_per_second=30, seconds_max=0.3):
                await asyncio.sleep(5)
                await _set(arena.database, "default_transaction_read_only", "on")
                demoted_at = time.monotonic()
                await asyncio.sleep(1)  # what was acknowledged is on the standby, as on Aurora
                await asyncio.to_thread(new.control, "promote")
                arena.proxy.upstream = ("127.0.0.1", new.port)
                await arena.time(
                    "goes_on_s",
                    lambda: arena.has_begun(after=demoted_at + 2),
                    since=demoted_at,
                )
                await asyncio.sleep(5)
            former, arena.database = arena.database, await arena.observe(new)
            await arena.at_rest(60)
            arena.database.terminate()
            arena.database = former
        finally:
            for name in ("default_transaction_read_only", "synchronous_standby_names"):
                await _set(arena.database, name, None)
            arena.proxy.upstream = ("127.0.0.1", old.port)


async def _set(database: asyncpg.Pool, name: str, value: str | None) -> None:
    """Change a setting of the server that the checker is connected to."""
    async with database.acquire() as connection:
        await connection.execute("SET default_transaction_read_only = off")
        change = f"RESET {name}" if value is None else f"SET {name} = '{value}'"
        await connection.execute(f"ALTER SYSTEM {change}")
        await connection.execute("SELECT pg_reload_conf()")
