"""A password that changes under the workers."""

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

from tests.faults.arena import Arena
from tests.faults.scenarios.load import steady_load

COMMAND = ("-m", "tests.faults.rotating")


async def password_rotates(arena: Arena) -> None:
    """A new password every 5 s, and every connection ended, under load."""
    role, file = f"rotating_{arena.database_name}", arena.fleet.folder / "password"
    await arena.database.execute(f"CREATE ROLE {role} LOGIN SUPERUSER")
    async with _password_wanted(arena, role):
        await _rotate(arena, role, file)
        environment = {"DATABASE_URL": arena.dsn_through_proxy(role), "FAULT_PASSWORD": str(file)}
        workers = [arena.spawn(environment, command=COMMAND) for _ in range(2)]
        await arena.wait(
            lambda: len(arena.ledger.events("worker start")) == 2, "the workers have started"
        )
        async with steady_load(arena, jobs_per_second=30, seconds_max=0.5):
            for _ in range(arena.size(full=5, short=2)):
                await asyncio.sleep(5)
                await _rotate(arena, role, file)
                rotated = time.monotonic()
                await arena.time(
                    "goes_on_s",
                    partial(arena.has_begun, after=rotated + 1),
                    since=rotated,
                )
        await arena.at_rest(30)
        arena.hold("crashed", sum(not worker.is_alive for worker in workers))
        arena.fleet.end()
    failed: int = await arena.database.fetchval(
        "SELECT count(*) FROM saq_jobs WHERE status <> 'complete' AND key NOT LIKE 'cron:%'"
    )
    arena.hold("failed_jobs", failed)


async def _rotate(arena: Arena, role: str, file: Path) -> None:
    """The old password stops at once; the provider knows the new one a moment later."""
    password = secrets.token_hex(8)
    await arena.database.execute(f"ALTER ROLE {role} PASSWORD '{password}'")
    await arena.database.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = $1", role
    )
    await asyncio.sleep(arena.random.uniform(0.1, 0.5))
    file.write_text(password)


@contextlib.asynccontextmanager
async def _password_wanted(arena: Arena, role: str) -> AsyncIterator[None]:
    """While the block runs, the server lets that role in by password only."""
    rules = arena.server.data / "pg_hba.conf"
    before = rules.read_text()
    rules.write_text(f"host all {role} 127.0.0.1/32 scram-sha-256\n{before}")
    await asyncio.to_thread(arena.server.control, "reload")
    try:
        yield
    finally:
        rules.write_text(before)
        await asyncio.to_thread(arena.server.control, "reload")
