"""`python -m service migrate`: bring the database to the newest of the numbered SQL files.

Every copy of the API and the worker runs this before it starts, so any number may run at once: one
applies what is missing, the others wait for it and find nothing to do.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import structlog

from service.db import CONNECT_TIMEOUT_SECONDS, Password

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x6D6F6F72  # "moor": any constant of ours
LOCK_WAIT_SECONDS = 60  # behind another migration that is being applied
STATEMENT_TIMEOUT_SECONDS = 300

log = structlog.stdlib.get_logger("migrate")


class MigrationError(Exception):
    """The files and the database disagree; nothing was changed."""


@dataclass(frozen=True)
class Migration:
    """One numbered SQL file."""

    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(folder: Path = MIGRATIONS) -> list[Migration]:
    """The files `NNNN_verb_noun.sql` in order. Raises `MigrationError` for a gap or a double."""
    found = []
    for path in sorted(folder.glob("*.sql")):
        if not (match := re.fullmatch(r"(\d{4})_[a-z0-9_]+", path.stem)):
            raise MigrationError(f"{path.name}: migrations are named NNNN_verb_noun.sql")
        found.append(Migration(int(match[1]), path.stem, path.read_text("utf-8")))
    for wanted, migration in enumerate(found, start=1):
        if migration.version != wanted:
            raise MigrationError(f"{migration.name}.sql: expected number {wanted:04}")
    return found


async def migrate(
    dsn: str, folder: Path = MIGRATIONS, *, password: Password | None = None
) -> list[str]:
    """Apply what is missing, all of it or nothing; the names of what was applied.

    A database that is newer than the files is left alone: an older image runs beside a newer one
    during a rollout and after a rollback. Raises `MigrationError` where an applied file changed.
    """
    migrations = read_migrations(folder)
    connection: asyncpg.Connection = await asyncpg.connect(
        dsn,
        password=password,
        timeout=CONNECT_TIMEOUT_SECONDS,
        server_settings={
            "application_name": "migrate",
            "lock_timeout": f"{LOCK_WAIT_SECONDS}s",
            "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS}s",
        },
    )
    try:
        # Every scale-out pays for this look, so it takes no lock.
        if not _missing(migrations, await _applied(connection)):
            return []
        async with connection.transaction():
            # Bound to the transaction: a killed migration leaves neither lock nor half a table.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            await connection.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                " version INT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
                " applied_at TIMESTAMPTZ NOT NULL DEFAULT now())"
            )
            missing = _missing(migrations, await _applied(connection))
            for migration in missing:
                log.debug("applying", migration=migration.name)
                await connection.execute(migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
        return [migration.name for migration in missing]
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _applied(connection: asyncpg.Connection) -> dict[int, asyncpg.Record]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return {}
    rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations")
    return {row["version"]: row for row in rows}


def _missing(migrations: list[Migration], applied: dict[int, asyncpg.Record]) -> list[Migration]:
    for migration in migrations:
        done = applied.get(migration.version)
        if done and done["checksum"] != migration.checksum:
            raise MigrationError(
                f"{migration.name}.sql has changed since it was applied as {done['name']}; "
                "write a new migration instead"
            )
    if applied and max(applied) > len(migrations):
        log.warning("the database is newer than this image", version=max(applied))
    return [migration for migration in migrations if migration.version not in applied]
