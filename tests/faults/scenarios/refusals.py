"""Postgres is there and says no: it has no connection left, or no space."""

import asyncio
import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from tests.faults.arena import Arena
from tests.faults.scenarios.load import steady_load

DISK_MEGABYTES = 8


async def no_connections(arena: Arena) -> None:
    """Cut every connection, and let somebody else take all that the role may have, for 20 s."""
    role = f"few_{arena.database_name}"
    await arena.database.execute(
        f"CREATE ROLE {role} LOGIN CONNECTION LIMIT 20;"
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {role};"
        f"GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO {role}"
    )
    direct = arena.server.dsn(arena.database_name, user=role)
    workers = await arena.start_workers(2, {"DATABASE_URL": arena.dsn_through_proxy(role)})
    await arena.enqueue(count=100)
    await arena.at_rest(20)
    hogs: list[asyncpg.Connection] = []
    deadline = time.monotonic() + 20
    while len(hogs) < 20 and time.monotonic() < deadline:
        arena.proxy.reset()
        with contextlib.suppress(asyncpg.TooManyConnectionsError):
            hogs.append(await asyncpg.connect(direct))
    assert len(hogs) == 20
    await arena.enqueue(count=100)
    before = sum(worker.log_lines for worker in workers)
    await asyncio.sleep(20)
    lines = sum(worker.log_lines for worker in workers) - before
    for hog in hogs:
        hog.terminate()
    freed = time.monotonic()
    arena.hold("log_lines_per_s", lines / 20)
    arena.hold("crashed", sum(not worker.is_alive for worker in workers))
    await arena.time(
        "goes_on_s",
        lambda: arena.has_begun(after=freed),
        since=freed,
    )
    await arena.at_rest(30)


@contextlib.contextmanager
def small_disk(folder: Path, owner: str) -> Iterator[Path]:
    """A file system of a few megabytes that a user may write to; only root can make one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MEGABYTES}m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("F21 NOT RUN: a small disk can only be mounted by root")
    try:
        shutil.chown(folder, owner)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


async def disk_full(arena: Arena) -> None:
    """Fill the disk that the jobs' tables are on, under load, and free it 15 s later."""
    name = f"small_{arena.database_name}"
    with small_disk(arena.server.data.parent / name, arena.server.data.owner()) as disk:
        await arena.database.execute(f"CREATE TABLESPACE {name} LOCATION '{disk}'")
        await _move_tables(arena, name)
        workers = await arena.start_workers(2)
        async with steady_load(arena, jobs_per_second=40, seconds_max=0.2) as load:
            await asyncio.sleep(3)
            with (disk / "filler").open("wb", buffering=0) as file, contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * 4096)
            await asyncio.sleep(15)
            (disk / "filler").unlink()
            freed = time.monotonic()
            assert load.refused, "the disk was never full"
            arena.hold("enqueue_answers_s", load.slowest_s)
            await arena.time(
                "goes_on_s",
                lambda: arena.has_begun(after=freed),
                since=freed,
            )
        arena.hold("crashed", sum(not worker.is_alive for worker in workers))
        await arena.at_rest(60)
        await _move_tables(arena, "pg_default")
        await arena.database.execute(f"DROP TABLESPACE {name}")


async def _move_tables(arena: Arena, tablespace: str) -> None:
    for table in ("saq_jobs", "job_archive"):
        await arena.database.execute(f"ALTER TABLE {table} SET TABLESPACE {tablespace}")
