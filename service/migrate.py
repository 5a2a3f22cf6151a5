"""`python -m service migrate`: applies the SQL files that the database does not have yet.

It runs before every API and worker, so any number may run at once: one applies what is missing,
the others wait for it and find nothing to do.

A new database gets all or none. One in use gets each file by itself, because the release before
works on meanwhile: no lock is held until the last file is done, and none is waited for longer than
a moment, because every other statement would queue behind.
"""

import asyncio
import random
import re
import time
from pathlib import Path

import asyncpg
import structlog

from service.database_user import DatabaseUser, give_rights, set_password
from service.db import CONNECT_TIMEOUT_SECONDS, UNAVAILABLE, Password, connect
from service.migration_files import SERVICE, Migration, MigrationError, read_migrations

LOCK_KEY = 0x6D6F6F72  # "moor"; any constant would do
OTHERS_WAIT_SECONDS = 150  # the longest wait for another process that migrates; ECS gives it 180
LOCK_WAIT_SECONDS = 60  # the longest wait for a lock, all tries together
LOCK_TRY_SECONDS = 0.3  # for each table: others queue behind a migration that waits for it
STATEMENT_TIMEOUT_SECONDS = 300

TABLE = """
    CREATE TABLE IF NOT EXISTS moorage_migrations (
        owner TEXT NOT NULL, version INT NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
        applied_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (owner, version)
    )
"""
COLUMNS = {"owner": "text", "version": "integer", "name": "text", "checksum": "text"}
# Release 0.1.0 numbered all migrations together, in this table. It is only read: images of that
# release still use it, beside newer ones during a rollout, or after a rollback.
FIRST_TABLE = "schema_migrations"
FIRST_COLUMNS = {"version": "integer", "name": "text", "checksum": "text"}
UNCHANGED = "nothing was changed"
ELSEWHERE = (
    "Give Moorage a database of its own, or a schema of its own: "
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
    "migrations want the owner of the tables: the user of DATABASE_OWNER_URL, or of DATABASE_URL "
    "where there is one user"
)
MAY_READ = "SELECT has_table_privilege(to_regclass('moorage_migrations'), 'SELECT')"

CONCURRENT_INDEX = r"CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)"
IS_HALF_AN_INDEX = """
    SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass($1) AND NOT indisvalid)
"""

log = structlog.stdlib.get_logger("migrate")


async def migrate(
    dsn: str,
    root: Path = SERVICE,
    *,
    password: Password | None = None,
    user: DatabaseUser | None = None,
) -> list[str]:
    """Apply all missing migrations. Returns their names, such as "queue/0001_…".

    `dsn` and `password` are the owner's. With `user`, the user of API and worker, it also creates
    that user, grants its rights, and sets the password of its secret.

    A database that is newer than the files stays as it is, because an older image runs beside a
    newer one during a rollout, and after a rollback. Raises `MigrationError` where an applied file
    has changed, a table of another program is in the way, or `user` cannot connect. What it has
    applied until then stays, except in a database that had no migration before.
    """
    migrations = read_migrations(root)
    # Every new ECS task checks this, so it takes no lock. It connects as `user`, so that a start
    # does not depend on the owner's password, which RDS may be rotating.
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
        if user is None and await _is_applied(connection, migrations):
            return []
        await _lock_out_others(connection)
        applied = await _apply_missing(connection, migrations, user)
        if user:
            async with connection.transaction():
                await set_password(connection, user)
    except asyncpg.InsufficientPrivilegeError as error:
        name = user.name if user else "none"
        raise MigrationError(f"the database user {name}: {error}; {OWNER_WANTED}") from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)
    if user and not await _is_ready(user, migrations, and_tidy=False):
        raise MigrationError(
            f"the database user {user.name} is there, and is not let in or does not find the "
            "tables: look at pg_hba.conf, at its search_path, and whether it is a member of rds_iam"
        )
    return applied


async def _lock_out_others(connection: asyncpg.Connection) -> None:
    """Take the lock of those who migrate. It ends with the connection: a kill leaves none.

    Others ask for it again and again: one that waited inside a statement would hold a snapshot,
    for which the building of an index waits.
    """
    until = time.monotonic() + OTHERS_WAIT_SECONDS
    while not await connection.fetchval("SELECT pg_try_advisory_lock($1)", LOCK_KEY):
        if time.monotonic() > until:
            raise MigrationError(f"another process has been migrating for {OTHERS_WAIT_SECONDS} s")
        await asyncio.sleep(random.uniform(0.1, 0.3))  # noqa: S311 - jitter


async def _apply_missing(
    connection: asyncpg.Connection, migrations: list[Migration], user: DatabaseUser | None
) -> list[str]:
    applied: list[str] = []
    async with connection.transaction():
        if user:
            await give_rights(connection, user)
        await _apply(connection, "the table moorage_migrations", TABLE)
        before = await _applied_by_the_first_release(connection)
        there = await _applied(connection)
        missing = []
        for migration in _missing(migrations, there):
            if migration.checksum in before:
                await _note(connection, migration)
            else:
                missing.append(migration)
        if user:
            tables = f"moorage_migrations, {FIRST_TABLE}" if before else "moorage_migrations"
            quoted = await user.quoted_name(connection)
            await connection.execute(f"REVOKE INSERT, UPDATE, DELETE ON {tables} FROM {quoted}")
        is_new = not there and not before
        if is_new:
            for migration in missing:
                if await _is_time(connection, migration):
                    await _apply(connection, f"{migration}.sql", migration.in_a_transaction)
                    await _note(connection, migration)
                    applied.append(str(migration))
    if not is_new:
        for migration in missing:
            if not await _is_time(connection, migration):
                continue
            if await _apply_in_use(connection, migration, applied):
                applied.append(str(migration))
    return applied


async def _apply_in_use(
    connection: asyncpg.Connection, migration: Migration, before: list[str]
) -> bool:
    """Apply one file where others work, and try again while they hold a lock.

    False where a file with a condition, without which everything runs, gets no lock.
    """
    stays = f"applied before it, and stays: {', '.join(before) or 'no file'}"
    if migration.is_stepwise:
        stays += ", and this file's statements before this one"
    until = time.monotonic() + LOCK_WAIT_SECONDS
    while True:
        try:
            if migration.is_stepwise:
                if migration.when:  # nobody has to wait for it
                    await connection.execute(f"SET lock_timeout = '{LOCK_TRY_SECONDS}s'")
                for statement in migration.statements:
                    await _drop_half_an_index(connection, statement)
                    await _apply(connection, f"{migration}.sql", statement, stays)
                await _note(connection, migration)
                await connection.execute("RESET lock_timeout")
            else:
                async with connection.transaction():
                    await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TRY_SECONDS}s'")
                    await _apply(connection, f"{migration}.sql", migration.sql, stays)
                    await _note(connection, migration)
            return True
        except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError) as error:
            if migration.when:
                log.warning("left for a later start", migration=str(migration), error=str(error))
                await connection.execute("RESET lock_timeout")
                return False
            if time.monotonic() > until:
                raise MigrationError(
                    f"{migration}.sql: {error}: a transaction has held a table for "
                    f"{LOCK_WAIT_SECONDS} s; end it (pg_stat_activity) and start again"
                ) from error
            await asyncio.sleep(random.uniform(0.5, 1.5))  # noqa: S311 - jitter


async def _drop_half_an_index(connection: asyncpg.Connection, statement: str) -> None:
    """Drop what a killed build of the statement's index has left: IF NOT EXISTS would keep it."""
    if not (made := re.match(CONCURRENT_INDEX, statement)):
        return
    if await connection.fetchval(IS_HALF_AN_INDEX, made[1]):
        await connection.execute(f"DROP INDEX CONCURRENTLY {made[1]}")


async def _note(connection: asyncpg.Connection, migration: Migration) -> None:
    await connection.execute(
        "INSERT INTO moorage_migrations (owner, version, name, checksum) VALUES ($1, $2, $3, $4)",
        migration.owner,
        migration.version,
        migration.name,
        migration.checksum,
    )


async def _is_ready(
    user: DatabaseUser, migrations: list[Migration], *, and_tidy: bool = True
) -> bool:
    """Can `user` connect, and are all migrations applied?"""
    connection = await user.connect()
    if connection is None:
        return False
    try:
        if not await connection.fetchval(MAY_READ):
            return False
        return await _is_applied(connection, migrations, and_tidy=and_tidy)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_SECONDS)


async def _is_applied(
    connection: asyncpg.Connection, migrations: list[Migration], *, and_tidy: bool = True
) -> bool:
    """Is there nothing to apply now? Unless `and_tidy`, files with a condition do not count."""
    missing = _missing(migrations, await _applied(connection))
    if not all(each.when for each in missing):  # a condition may name what those before it make
        return False
    return not and_tidy or not any([await _is_time(connection, each) for each in missing])


async def _is_time(connection: asyncpg.Connection, migration: Migration) -> bool:
    return migration.when is None or bool(await connection.fetchval(f"SELECT {migration.when}"))


async def _applied(connection: asyncpg.Connection) -> dict[tuple[str, int], asyncpg.Record]:
    columns = await _columns(connection, "moorage_migrations")
    if not columns:
        return {}
    if not COLUMNS.items() <= columns.items():
        raise MigrationError(
            "the table moorage_migrations is another program's: it has the columns "
            f"{', '.join(sorted(columns))}; {UNCHANGED}. {ELSEWHERE}"
        )
    try:
        rows = await connection.fetch(
            "SELECT owner, version, name, checksum FROM moorage_migrations"
        )
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{error}; {UNCHANGED}. {ELSEWHERE}") from None
    return {(row["owner"], row["version"]): row for row in rows}


async def _applied_by_the_first_release(connection: asyncpg.Connection) -> set[str]:
    """The checksums of its migrations, whose numbers differ; empty for another program's table."""
    if not FIRST_COLUMNS.items() <= (await _columns(connection, FIRST_TABLE)).items():
        return set()
    rows = await connection.fetch("SELECT checksum FROM schema_migrations")
    return {row["checksum"] for row in rows}


async def _columns(connection: asyncpg.Connection, table: str) -> dict[str, str]:
    """Name and type of each column; empty without such a table."""
    rows = await connection.fetch(
        "SELECT attname::text AS name, atttypid::regtype::text AS type FROM pg_attribute"
        " WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped",
        table,
    )
    return {row["name"]: row["type"] for row in rows}


async def _apply(
    connection: asyncpg.Connection, name: str, sql: str, stays: str = UNCHANGED
) -> None:
    log.debug("applying", migration=name)
    try:
        await connection.execute(sql)
    except UNAVAILABLE:
        raise
    except TAKEN as error:
        raise MigrationError(
            f"{name}: {error}: it is another program's, or was made by hand; {stays}. {ELSEWHERE}"
        ) from None
    except asyncpg.InsufficientPrivilegeError as error:
        raise MigrationError(f"{name}: {error}; {stays}; {OWNER_WANTED}") from error
    except asyncpg.PostgresError as error:
        raise MigrationError(f"{name}: {error}; {stays}") from error


def _missing(
    migrations: list[Migration], applied: dict[tuple[str, int], asyncpg.Record]
) -> list[Migration]:
    for migration in migrations:
        done = applied.get((migration.owner, migration.version))
        if done and done["checksum"] != migration.checksum:
            raise MigrationError(
                f"{migration}.sql has changed since it was applied as {done['name']}; "
                "write a new migration instead"
            )
    newest = {migration.owner: migration.version for migration in migrations}
    for owner, version in applied:
        if version > newest.get(owner, version):  # an owner without files is a deleted domain
            log.warning("the database is newer than this image", owner=owner, version=version)
    return [each for each in migrations if (each.owner, each.version) not in applied]
