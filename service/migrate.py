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

from service.database_user import DatabaseUser, give_rights, set_password
from service.db import CONNECT_TIMEOUT_SECONDS, UNAVAILABLE, Password, connect

MIGRATIONS = Path(__file__).parent / "migrations"
LOCK_KEY = 0x6D6F6F72  # "moor": any constant of ours
LOCK_WAIT_SECONDS = 60  # behind another migration that is being applied
STATEMENT_TIMEOUT_SECONDS = 300

COLUMNS = {"version": "integer", "name": "text", "checksum": "text"}  # of our schema_migrations
ELSEWHERE = (
    "nothing was changed. Give Moorage a database of its own, or a schema of its own: "
    "CREATE SCHEMA moorage, and end DATABASE_URL with ?options=-c%20search_path%3Dmoorage"
)
# Another program's table, or one with our name and other columns.
TAKEN = (
    asyncpg.DuplicateTableError,
    asyncpg.DuplicateObjectError,
    asyncpg.DuplicateFunctionError,
    asyncpg.DuplicateColumnError,
    asyncpg.UndefinedColumnError,
    asyncpg.WrongObjectTypeError,
    asyncpg.DatatypeMismatchError,
)

OWNER_WANTED = (
    "nothing was changed; migrations want the owner of the tables: the user of DATABASE_OWNER_URL, "
    "or of DATABASE_URL where there is one user"
)
MAY_READ = "SELECT has_table_privilege(to_regclass('schema_migrations'), 'SELECT')"

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
        found.append(Migration(int(match[1]), path.stem, path.read_text("utf-8-sig")))
    for wanted, migration in enumerate(found, start=1):
        if migration.version != wanted:
            raise MigrationError(f"{migration.name}.sql: expected number {wanted:04}")
    return found


async def migrate(
    dsn: str,
    folder: Path = MIGRATIONS,
    *,
    password: Password | None = None,
    user: DatabaseUser | None = None,
) -> list[str]:
    """Apply what is missing, all of it or nothing; the names of what was applied.

    `dsn` and `password` are the owner's. Where API and worker connect as another, `user`, that one
    is there afterwards, with its rights and the password that its secret holds.

    A database that is newer than the files is left alone: an older image runs beside a newer one
    during a rollout and after a rollback. Raises `MigrationError` where an applied file changed,
    something of another program stands in the way, or `user` cannot be let in.
    """
    migrations = read_migrations(folder)
    # Every scale-out pays for this look, so it takes no lock; and as the user that the process will
    # be, so that a start does not hang on the owner's password, which RDS may be changing just now.
    if user and await _is_ready(user, migrations):
        return []
    connection = await connect(
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
        if user is None and not _missing(migrations, await _applied(connection)):
            return []
        async with connection.transaction():
            # Bound to the transaction: a killed migration leaves neither lock nor half a table.
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            if user:
                await give_rights(connection, user)
            await _apply(
                connection,
                "the table schema_migrations",
                "CREATE TABLE IF NOT EXISTS schema_migrations ("
                " version INT PRIMARY KEY, name TEXT NOT NULL, checksum TEXT NOT NULL,"
                " applied_at TIMESTAMPTZ NOT NULL DEFAULT now())",
            )
            missing = _missing(migrations, await _applied(connection))
            for migration in missing:
                log.debug("applying", migration=migration.name)
                await _apply(connection, f"{migration.name}.sql", migration.sql)
                await connection.execute(
                    "INSERT INTO schema_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                    migration.version,
                    migration.name,
                    migration.checksum,
                )
            if user:
                await connection.execute(
                    "REVOKE INSERT, UPDATE, DELETE ON schema_migrations FROM "
                    + await user.quoted_name(connection)
                )
                await set_password(connection, user)
    except asyncpg.InsufficientPrivilegeError as error:
        name = user.name if user else "none"
        raise MigrationError(f"the database user {name}: {error}; {OWNER_WANTED}") from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
    if user and not await _is_ready(user, migrations):
        raise MigrationError(
            f"the database user {user.name} is there, and is not let in or does not find the "
            "tables: look at pg_hba.conf, at its search_path, and whether it is a member of rds_iam"
        )
    return [migration.name for migration in missing]


async def _is_ready(user: DatabaseUser, migrations: list[Migration]) -> bool:
    """Is `user` let in, and does it find everything applied?"""
    connection = await user.connect()
    if connection is None:
        return False
    try:
        if not await connection.fetchval(MAY_READ):
            return False
        return not _missing(migrations, await _applied(connection))
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _applied(connection: asyncpg.Connection) -> dict[int, asyncpg.Record]:
    if await connection.fetchval("SELECT to_regclass('schema_migrations')") is None:
        return {}
    columns = await connection.fetch(
        "SELECT attname::text AS name, atttypid::regtype::text AS type FROM pg_attribute"
        " WHERE attrelid = to_regclass('schema_migrations') AND attnum > 0 AND NOT attisdropped"
    )
    found = {row["name"]: row["type"] for row in columns}
    if not COLUMNS.items() <= found.items():
        raise MigrationError(
            "the table schema_migrations is another program's: it has the columns "
            f"{', '.join(sorted(found))}; {ELSEWHERE}"
        )
    try:
        rows = await connection.fetch("SELECT version, name, checksum FROM schema_migrations")
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{error}; {ELSEWHERE}") from None
    return {row["version"]: row for row in rows}


async def _apply(connection: asyncpg.Connection, name: str, sql: str) -> None:
    try:
        await connection.execute(sql)
    except UNAVAILABLE:
        raise
    except TAKEN as error:
        raise MigrationError(
            f"{name}: {error}: it is another program's, or was made by hand; {ELSEWHERE}"
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{name}: {error}; {OWNER_WANTED}") from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{name}: {error}; nothing was changed") from error


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
