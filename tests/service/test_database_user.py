"""API and worker connect as a database user of their own; only `migrate` is the owner."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from pydantic import SecretStr
from saq import Status

from service.database_user import DatabaseUserError, scram_verifier
from service.migrate import migrate
from service.migration_files import MigrationError
from service.queue.postgres.postgres_queue import PostgresQueue
from service.settings import Settings
from service.testing.running import Bench
from tests.service.aurora import OWNER_PASSWORD, USER_PASSWORD, Aurora
from tests.service.test_migrate import NAMES, copy_of_the_files

JOB = "INSERT INTO saq_jobs (key, job, queue, status) VALUES ('{}', '', 'default', 'queued')"
OWNERS_ONLY = [
    "CREATE TABLE mine (id INT)",
    "CREATE TABLE IF NOT EXISTS saq_jobs (id INT)",
    "CREATE SCHEMA mine",
    "CREATE INDEX ON saq_jobs (status)",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS INT LANGUAGE sql AS 'SELECT 1'",
    "CREATE TRIGGER mine BEFORE INSERT ON saq_jobs EXECUTE FUNCTION pg_notify()",
    "DROP EXTENSION plpgsql",
    "ALTER TABLE saq_jobs ADD COLUMN mine INT",
    "ALTER TABLE saq_jobs DISABLE TRIGGER ALL",
    "ALTER TABLE saq_jobs OWNER TO CURRENT_USER",
    "DROP TABLE saq_jobs",
    "DROP TABLE job_archive CASCADE",
    "DROP VIEW background_jobs",
    "DROP SCHEMA public CASCADE",
    "TRUNCATE saq_jobs",
    "TRUNCATE job_archive",
    "COMMENT ON TABLE saq_jobs IS 'mine'",
    "DELETE FROM moorage_migrations",
    "UPDATE moorage_migrations SET checksum = ''",
    "INSERT INTO moorage_migrations (owner, version, name, checksum) VALUES ('a', 9, '', '')",
    "CREATE ROLE mine LOGIN",
    "ALTER ROLE moorage PASSWORD 'mine'",
    "ALTER ROLE moorage NOLOGIN",
    "SET ROLE moorage",
    "SET SESSION AUTHORIZATION moorage",
    "ALTER DEFAULT PRIVILEGES FOR ROLE moorage GRANT ALL ON TABLES TO PUBLIC",
    "CREATE DATABASE mine",
    "ALTER SYSTEM SET log_statement = 'none'",
    "COPY saq_jobs TO PROGRAM 'cat'",
    "SELECT pg_read_file('/etc/passwd')",
    "SELECT setval('background_jobs_id_seq', 1)",
    "SELECT rolpassword FROM pg_authid",
]


async def run(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def value(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, where a test adds others."""
    return copy_of_the_files(tmp_path / "service")


def add(folder: Path, sql: str) -> None:
    """One more migration, as a domain has one."""
    own = folder / "domain/shop/migrations"
    own.mkdir(parents=True)
    (own / "0001_add_shop.sql").write_text(sql)


async def test_the_user_reads_and_writes_rows_and_does_nothing_else(
    aurora: Aurora, root: Path
) -> None:
    user = aurora.database_user()
    assert await migrate(aurora.owner_dsn, root, user=user) == NAMES
    await run(user.dsn, JOB.format("k"), "UPDATE saq_jobs SET priority = 1 WHERE key = 'k'",
              "NOTIFY anything", "LISTEN anything", "DELETE FROM saq_jobs",
              "SELECT pg_advisory_lock(1)")  # fmt: skip
    connection = await asyncpg.connect(user.dsn)
    for statement in OWNERS_ONLY:
        with pytest.raises(asyncpg.PostgresError) as refused:
            await connection.execute(statement)
        assert isinstance(refused.value, asyncpg.InsufficientPrivilegeError), statement
    owned = await connection.fetchval(
        "SELECT count(*) FROM pg_shdepend WHERE deptype = 'o' AND refobjid = CURRENT_USER::regrole"
    )
    powers = await connection.fetchval(
        "SELECT rolsuper OR rolcreatedb OR rolcreaterole OR rolreplication OR rolbypassrls"
        " FROM pg_roles WHERE rolname = CURRENT_USER"
    )
    await connection.close()
    assert owned == 0
    assert powers is False


async def test_a_stage_that_had_one_user_goes_on_with_two(aurora: Aurora, root: Path) -> None:
    assert await migrate(aurora.owner_dsn, root) == NAMES
    await run(
        aurora.owner_dsn, JOB.format("before"), "CREATE SCHEMA shop",
        "CREATE TABLE shop.orders (id SERIAL, what TEXT) PARTITION BY LIST (what)",
        "CREATE TABLE shop.books PARTITION OF shop.orders DEFAULT",
        "CREATE VIEW shop.all AS SELECT * FROM shop.orders",
    )  # fmt: skip
    user = aurora.database_user()
    assert await migrate(aurora.owner_dsn, root, user=user) == []
    await run(
        user.dsn, "INSERT INTO shop.orders (what) VALUES ('a')", "SELECT * FROM shop.all",
        "UPDATE saq_jobs SET priority = 2 WHERE key = 'before'",
    )  # fmt: skip
    # an older image beside, before it is replaced or after a rollback
    assert await migrate(aurora.owner_dsn, root) == []
    await run(aurora.owner_dsn, JOB.format("beside"))
    assert await value(user.dsn, "SELECT count(*) FROM saq_jobs") == 2


async def test_what_a_later_migration_makes_is_reached_and_what_it_takes_away_is_not(
    aurora: Aurora, folder: Path
) -> None:
    user = aurora.database_user()
    await migrate(aurora.owner_dsn, folder, user=user)
    add(folder, "CREATE SCHEMA shop; CREATE TABLE shop.orders (id BIGSERIAL, what TEXT);"
        "CREATE TABLE visits (id INT GENERATED ALWAYS AS IDENTITY, what TEXT);"
        "CREATE MATERIALIZED VIEW sums AS SELECT count(*) FROM visits;"
        "CREATE FUNCTION twice(n INT) RETURNS INT LANGUAGE sql AS 'SELECT 2 * n';"
        "CREATE TYPE colour AS ENUM ('red');"
        "CREATE TABLE ledger (id INT, what colour);"
        f"REVOKE UPDATE, DELETE ON ledger FROM {aurora.user};")  # fmt: skip
    await migrate(aurora.owner_dsn, folder, user=user)
    assert await migrate(aurora.owner_dsn, folder, user=aurora.database_user("another")) == []
    user = aurora.database_user("another")
    await run(user.dsn, "INSERT INTO shop.orders (what) VALUES ('a')",
              "INSERT INTO visits (what) VALUES ('b')", "SELECT * FROM sums", "SELECT twice(2)",
              "INSERT INTO ledger VALUES (1, 'red')")  # fmt: skip
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await run(user.dsn, "DELETE FROM ledger")


async def test_twenty_at_once_make_one_user_and_each_file_once(aurora: Aurora, root: Path) -> None:
    user = aurora.database_user()
    answers = await asyncio.gather(*(migrate(aurora.owner_dsn, root, user=user) for _ in range(20)))
    assert sorted(map(len, answers)) == [0] * 19 + [len(NAMES)]
    newer = aurora.database_user("newer")
    await asyncio.gather(*(migrate(aurora.owner_dsn, root, user=newer) for _ in range(20)))
    assert await value(newer.dsn, "SELECT CURRENT_USER") == aurora.user
    with pytest.raises(asyncpg.InvalidPasswordError):
        await run(user.dsn)


async def test_a_start_with_nothing_to_do_hangs_on_no_owner(aurora: Aurora, root: Path) -> None:
    await migrate(aurora.owner_dsn, root, user=aurora.database_user())
    stale = aurora.dsn(aurora.owner, "changed by RDS meanwhile")
    assert await migrate(stale, root, user=aurora.database_user()) == []
    with pytest.raises(asyncpg.InvalidPasswordError):
        await migrate(stale, root, user=aurora.database_user("rotated"))


async def test_no_log_of_statements_shows_the_password(aurora: Aurora, root: Path) -> None:
    await aurora.as_superuser(f"ALTER DATABASE {aurora.database} SET log_statement = 'all'")
    await migrate(aurora.owner_dsn, root, user=aurora.database_user())
    log = aurora.server.log.read_text()
    assert f"ALTER ROLE {aurora.user} LOGIN PASSWORD 'SCRAM-SHA-256$" in log
    assert USER_PASSWORD not in log


@pytest.mark.parametrize("given", ["pässword", "пароль", "密码"])
def test_a_password_that_client_and_server_might_read_differently_is_refused(given: str) -> None:
    with pytest.raises(DatabaseUserError, match="ASCII") as refused:
        scram_verifier(given)
    assert given not in str(refused.value)


async def test_a_user_who_is_still_not_let_in_is_an_error_with_a_reason(
    aurora: Aurora, root: Path
) -> None:
    await aurora.as_superuser(f"CREATE ROLE {aurora.user} VALID UNTIL '2000-01-01'")
    await aurora.as_superuser(f"GRANT {aurora.user} TO {aurora.owner} WITH ADMIN OPTION")
    with pytest.raises(MigrationError, match="not let in"):
        await migrate(aurora.owner_dsn, root, user=aurora.database_user())


async def test_a_user_that_is_not_the_owners_to_change_is_an_error_with_a_reason(
    aurora: Aurora, root: Path
) -> None:
    await aurora.as_superuser(f"CREATE ROLE {aurora.user} LOGIN")
    with pytest.raises(
        MigrationError, match="want the owner of the tables: the user of DATABASE_OWNER_URL"
    ):
        await migrate(aurora.owner_dsn, root, user=aurora.database_user())


async def test_migrations_as_the_user_alone_are_an_error_with_a_reason(
    aurora: Aurora, folder: Path, root: Path
) -> None:
    user = aurora.database_user()
    await migrate(aurora.owner_dsn, root, user=user)
    assert await migrate(user.dsn, root) == []
    add(folder, "CREATE TABLE visits (id INT)")
    with pytest.raises(
        MigrationError,
        match=r"moorage_migrations: permission denied .* want the owner of the tables",
    ):
        await migrate(user.dsn, folder)


async def test_a_job_that_lets_sql_in_drops_nothing(
    queue: PostgresQueue, application_dsn: str
) -> None:
    bench = Bench()
    bench.add(queue, Settings(stage="local", database_url=SecretStr(application_dsn)))
    for statement in (
        "DROP TABLE saq_jobs",
        "TRUNCATE job_archive",
        "ALTER TABLE notes ADD x INT",
    ):
        await queue.enqueue("let_sql_in", name=f"'; {statement}; --")
    ended = await bench.run()
    assert [job.status for job in ended] == [Status.FAILED] * 3
    for job in ended:
        assert "InsufficientPrivilegeError" in (job.error or "")


async def test_migrate_as_ecs_starts_it(aurora: Aurora, root: Path) -> None:
    """Two addresses without passwords would be AWS's way; here each holds its own."""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-m", "service", "migrate"],
        cwd=root.parent, capture_output=True, text=True, check=False,
        env={
            "PATH": os.environ["PATH"],  # noqa: TID251
            "STAGE": "local", "LOG_LEVEL": "warning",
            "DATABASE_URL": aurora.database_user().dsn,
            "DATABASE_OWNER_URL": aurora.dsn(aurora.owner, ""),
            "DATABASE_OWNER_PASSWORD": OWNER_PASSWORD,
        },
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"applied {name}" for name in NAMES]
    assert await value(aurora.database_user().dsn, "SELECT count(*) FROM saq_jobs") == 0
