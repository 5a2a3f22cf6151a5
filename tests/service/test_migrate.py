"""Migrations: each is applied once, all or none, by any number of processes."""

import asyncio
import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import psycopg_pool
import pytest
from saq.queue.postgres import PostgresQueue as StockQueue

from service.migrate import migrate
from service.migration_files import SERVICE, MigrationError, read_migrations
from tests.conftest import ROOT, Processes, exit_status
from tests.ledger import LEDGER
from tests.sample import DOMAINS

NAMES = [
    *(str(each) for each in read_migrations() if not each.owner.startswith("domain/")),
    "domain/notes/0001_create_notes",
]


async def _fetch(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(statement)
        return found
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of everybody's migrations, to be changed."""
    return copy_of_the_files(tmp_path / "service")


def copy_of_the_files(folder: Path) -> Path:
    for file in SERVICE.rglob("migrations"):
        if file.parent.parent.name != "domain":
            shutil.copytree(file, folder / file.relative_to(SERVICE))
    shutil.copytree(DOMAINS, folder / "domain")
    return folder


def file_of(folder: Path, name: str) -> Path:
    """The file of the migration that `migrate` calls `name`."""
    owner, _, stem = name.rpartition("/")
    return folder / owner / "migrations" / f"{stem}.sql"


@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "with a mark"])
@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
def test_a_migration_is_the_same_however_an_editor_or_git_has_saved_it(
    root: Path, folder: Path, mark: bytes, end: bytes
) -> None:
    for file in folder.rglob("*.sql"):
        file.write_bytes(mark + file.read_bytes().replace(b"\n", end))

    assert read_migrations(folder) == read_migrations(root)


async def test_twenty_migrations_at_once_apply_each_file_once(
    empty_database: str, root: Path
) -> None:
    answers = await asyncio.gather(*(migrate(empty_database, root) for _ in range(20)))
    assert sorted(answers, key=len)[-1] == NAMES
    assert sum(len(answer) for answer in answers) == len(NAMES)
    assert await migrate(empty_database, root) == []


async def test_failing_migration_leaves_nothing_behind(
    empty_database: str, folder: Path, root: Path
) -> None:
    own = folder / "domain/things/migrations"
    own.mkdir(parents=True)
    (own / "0001_break_things.sql").write_text("CREATE TABLE half (); SELECT 1/0;")
    with pytest.raises(MigrationError, match="division by zero; nothing was changed"):
        await migrate(empty_database, folder)
    tables = await _fetch(empty_database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    assert tables == []
    assert await migrate(empty_database, root) == NAMES


@pytest.mark.parametrize(
    ("statements", "said", "tables"),
    [
        (
            "CREATE TABLE half (); SELECT 1/0;",
            r"division by zero; applied before it, and stays: domain/things/0001_create_things$",
            ["things"],
        ),
        (
            "CREATE TABLE half (); COMMIT; SELECT 1/0;",
            r"stays: domain/things/0001_create_things, and this file's statements before this one$",
            ["half", "things"],
        ),
        (
            "CREATE TABLE background_jobs ();",
            r"stays: domain/things/0001_create_things\. Give Moorage a database of its own",
            ["things"],
        ),
    ],
    ids=["in a transaction", "statement by statement", "a table that is there"],
)
async def test_what_stays_of_a_failed_migration_in_use_is_said(
    database: str, folder: Path, statements: str, said: str, tables: list[str]
) -> None:
    own = folder / "domain/things/migrations"
    own.mkdir(parents=True)
    (own / "0001_create_things.sql").write_text("CREATE TABLE things ();")
    (own / "0002_break_things.sql").write_text(statements)
    with pytest.raises(MigrationError, match=said):
        await migrate(database, folder)
    there = await _fetch(
        database, "SELECT tablename FROM pg_tables WHERE tablename IN ('half', 'things') ORDER BY 1"
    )
    assert [row["tablename"] for row in there] == tables


FOREIGN = {
    "a table of our name": "CREATE TABLE moorage_migrations (version BIGINT PRIMARY KEY)",
    "a view of our name": "CREATE VIEW moorage_migrations AS SELECT 'x'::text AS owner",
    "our columns of other types": "CREATE TABLE moorage_migrations"
    " (owner TEXT, version TEXT, name TEXT, checksum TEXT)",
    "a table of jobs": "CREATE TABLE background_jobs (id INT)",
    "a table of workers": "CREATE TABLE queue_workers (id INT)",
    "a table of a domain": "CREATE TABLE notes (id INT)",
    "other columns than SAQ's": "CREATE TABLE saq_jobs (id INT)",
    "a view for a table": "CREATE VIEW saq_jobs AS SELECT 1 AS key",
    "a function": "CREATE FUNCTION saq_job_time(scheduled BIGINT) RETURNS TIMESTAMPTZ"
    " LANGUAGE sql AS 'SELECT now()'",
    "an index": "CREATE TABLE mine (a INT); CREATE INDEX background_jobs_key_idx ON mine (a)",
}
# The first release kept its own list in a table of this name.
LISTS_OF_OTHERS = {
    "Rails": "CREATE TABLE schema_migrations (version VARCHAR PRIMARY KEY);"
    " INSERT INTO schema_migrations VALUES ('20240101120000')",
    "golang-migrate": "CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, dirty BOOLEAN);"
    " INSERT INTO schema_migrations VALUES (20240101120000, FALSE)",
    "Ecto": "CREATE TABLE schema_migrations (version BIGINT PRIMARY KEY, inserted_at TIMESTAMP)",
    "dbmate, a view": "CREATE VIEW schema_migrations AS SELECT 'x'::text AS version",
    "columns of other types": "CREATE TABLE schema_migrations"
    " (version TEXT, name TEXT, checksum TEXT)",
}


@pytest.mark.parametrize("statement", FOREIGN.values(), ids=FOREIGN)
async def test_what_another_program_has_is_said_in_a_sentence_and_left_alone(
    empty_database: str, statement: str, root: Path
) -> None:
    everything = (
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " WHERE c.relnamespace = 'public'::regnamespace ORDER BY 1, 2"
    )
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
    before = await _fetch(empty_database, everything)
    with pytest.raises(MigrationError, match=r"nothing was changed\. Give Moorage"):
        await migrate(empty_database, root)
    assert await _fetch(empty_database, everything) == before


@pytest.mark.parametrize("statement", LISTS_OF_OTHERS.values(), ids=LISTS_OF_OTHERS)
async def test_another_program_s_list_of_migrations_is_left_alone(
    empty_database: str, statement: str, root: Path
) -> None:
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute(statement)
        before = await connection.fetch("SELECT * FROM schema_migrations")
        assert await migrate(empty_database, root) == NAMES
        assert await connection.fetch("SELECT * FROM schema_migrations") == before
    finally:
        await connection.close()


async def test_beside_another_program_a_schema_of_its_own_will_do(
    empty_database: str, root: Path
) -> None:
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute(FOREIGN["a table of jobs"])
        await connection.execute("CREATE SCHEMA moorage")
    finally:
        await connection.close()
    own = f"{empty_database}&options=-c%20search_path%3Dmoorage"
    assert await migrate(own, root) == NAMES
    assert await migrate(own, root) == []


async def test_a_database_where_nothing_may_be_made_is_said(
    empty_database: str, processes: Processes
) -> None:
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute("CREATE ROLE guest_of_migrate LOGIN")
        await connection.execute("REVOKE CREATE ON SCHEMA public FROM PUBLIC")
        guest = empty_database.replace("postgres:@", "guest_of_migrate:@")
        child = processes.start("migrate", DATABASE_URL=guest)
        assert await exit_status(child, 20) == 1
        said = processes.log(child)
        assert "permission denied for schema public; nothing was changed" in said
        assert "Traceback" not in said
    finally:
        await connection.execute("DROP ROLE guest_of_migrate")
        await connection.close()


async def test_applied_file_that_changed_is_refused(database: str, folder: Path) -> None:
    path = file_of(folder, NAMES[0])
    path.write_text(path.read_text() + "-- changed\n")
    with pytest.raises(MigrationError, match="has changed since it was applied"):
        await migrate(database, folder)


async def test_database_newer_than_the_image_is_left_alone(database: str, folder: Path) -> None:
    newest = max(name for name in NAMES if name.startswith("queue/"))
    file_of(folder, newest).unlink()
    shutil.rmtree(folder / "domain")
    assert await migrate(database, folder) == []


def test_gap_and_double_in_the_numbers_of_one_owner_are_refused(folder: Path) -> None:
    second = file_of(folder, NAMES[1])
    second.rename(second.with_name("0001_another.sql"))
    with pytest.raises(MigrationError, match=r"queue/0001_.*: expected number 0002, because"):
        read_migrations(folder)
    second.with_name("0001_another.sql").unlink()
    with pytest.raises(MigrationError, match=r"queue/0003_.*: expected number 0002"):
        read_migrations(folder)


async def test_each_owner_has_numbers_of_its_own(database: str, folder: Path, root: Path) -> None:
    for owner in ("shop", "books"):
        own = folder / "domain" / owner / "migrations"
        own.mkdir(parents=True)
        (own / "0001_create_it.sql").write_text(f"CREATE TABLE of_{owner} ()")
    assert await migrate(database, folder) == [
        "domain/books/0001_create_it", "domain/shop/0001_create_it",
    ]  # fmt: skip
    assert await migrate(database, root) == [], "an image without them works too"


DROPS_INDEXES = "queue/0021_drop_status_indexes"
SCHEMA = """
    SELECT attrelid::regclass::text, attname::text, atttypid::regtype::text,
        pg_get_expr(adbin, adrelid), attnotnull
    FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attnum > 0 AND NOT attisdropped AND attrelid IN (
        SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace
    )
    UNION ALL SELECT tgrelid::regclass::text, pg_get_triggerdef(oid), NULL, NULL, NULL
    FROM pg_trigger WHERE NOT tgisinternal
    UNION ALL SELECT proname, md5(prosrc), NULL, NULL, NULL
    FROM pg_proc WHERE pronamespace = 'public'::regnamespace
"""


# Tables in the dump of the first release that its worked examples had made.
OF_ITS_DOMAINS = ("feed", "email_outbox", "search_documents")


async def test_a_database_of_the_first_release_comes_over_by_itself(
    empty_database: str, database: str, root: Path
) -> None:
    """Its dump, made by the code of release 0.1.0: one line of numbers for all."""
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute((ROOT / "tests/service/first_release.sql").read_text())
        before = await connection.fetch("SELECT * FROM schema_migrations")
        history = "SELECT key, task, status, error FROM background_jobs ORDER BY id"
        jobs = await connection.fetch(history)
        answers = await asyncio.gather(*(migrate(empty_database, root) for _ in range(5)))
        applied = max(answers, key=len)
        there = {row["checksum"] for row in before}
        assert there & {each.checksum for each in read_migrations(root)}
        assert applied == [
            str(each)
            for each in read_migrations(root)
            if each.checksum not in there and not each.when
        ]
        assert sum(map(len, answers)) == len(applied)
        assert await migrate(empty_database, root) == []
        # what an image of that release reads, beside this one and after a rollback
        assert await connection.fetch("SELECT * FROM schema_migrations") == before
        assert await connection.fetch(history) == jobs
        for table in ("saq_jobs", "recurring_jobs", "feeds", "feed_entries", "email_outbox"):
            assert await connection.fetchval(f"SELECT count(*) FROM {table}") > 0
        # a day later nobody goes back to it
        await connection.execute(
            "UPDATE moorage_migrations SET applied_at = now() - interval '2 days'"
        )
        assert await migrate(empty_database, root) == [DROPS_INDEXES]
        came_over = {
            tuple(row)
            for row in await connection.fetch(SCHEMA)
            if not row[0].startswith(("schema_migrations", *OF_ITS_DOMAINS))
        }
    finally:
        await connection.close()
    of_the_tests = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?(\w+)", LEDGER))
    anew = {
        tuple(row)
        for row in await _fetch(database, SCHEMA)
        if not row[0].startswith(tuple(of_the_tests))
    }
    assert came_over == anew


async def test_a_migration_of_a_team_s_own_is_known_by_its_content(
    empty_database: str, folder: Path
) -> None:
    sql = "CREATE TABLE orders (id INT);\n"
    connection = await asyncpg.connect(empty_database)
    try:
        await connection.execute((ROOT / "tests/service/first_release.sql").read_text())
        await connection.execute(sql)
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (13, 'orders', $1)",
            hashlib.sha256(sql.encode()).hexdigest(),
        )
    finally:
        await connection.close()
    own = folder / "domain/shop/migrations"
    own.mkdir(parents=True)
    (own / "0001_orders.sql").write_text(sql)
    assert "domain/shop/0001_orders" not in await migrate(empty_database, folder)
    (own / "0001_orders.sql").write_text(sql + "-- changed")
    with pytest.raises(MigrationError, match=r"shop/0001_orders\.sql has changed"):
        await migrate(empty_database, folder)


async def test_tables_that_stock_saq_made_keep_their_jobs(empty_database: str, root: Path) -> None:
    pool = psycopg_pool.AsyncConnectionPool(empty_database, open=False)
    stock = StockQueue(pool, manage_pool_lifecycle=True, min_size=1, max_size=2)
    await stock.connect()
    job = await stock.enqueue("keep_note", message="from before")
    assert job is not None
    await stock.disconnect()
    assert await migrate(empty_database, root) == [name for name in NAMES if name != DROPS_INDEXES]
    rows = await _fetch(empty_database, "SELECT key, task, status FROM background_jobs")
    assert [tuple(row) for row in rows] == [(job.key, "keep_note", "queued")]
    (counter,) = await _fetch(
        empty_database,
        "SELECT max_value FROM pg_sequences WHERE sequencename = 'saq_jobs_lock_key_seq'",
    )
    assert counter["max_value"] == 2**63 - 1, "the counter that ends all enqueues is out of reach"


async def test_migrate_says_what_it_applied_and_fails_with_a_sentence(
    empty_database: str, root: Path
) -> None:
    def run(dsn: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service", "migrate"],
            cwd=root.parent,
            env={"STAGE": "local", "DATABASE_URL": dsn, "LOG_LEVEL": "warning"},
            capture_output=True,
            text=True,
            check=False,
        )

    first = run(empty_database)
    assert first.returncode == 0
    assert first.stdout.splitlines() == [f"applied {name}" for name in NAMES]
    away = run("postgresql://nobody@127.0.0.1:1/nowhere")
    assert away.returncode == 1
    assert "cannot reach the database" in away.stderr
    assert "Traceback" not in away.stderr
