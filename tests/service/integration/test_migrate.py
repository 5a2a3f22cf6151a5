"""Bringing a database up to date: once, wholly, by any number of processes."""

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import asyncpg
import psycopg_pool
import pytest
from saq.queue.postgres import PostgresQueue as StockQueue

from service.migrate import MIGRATIONS, MigrationError, migrate, read_migrations
from tests.conftest import ROOT

NAMES = [migration.name for migration in read_migrations()]


async def _fetch(dsn: str, statement: str) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(dsn)
    try:
        found: list[asyncpg.Record] = await connection.fetch(statement)
        return found
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations, to be changed."""
    return Path(shutil.copytree(MIGRATIONS, tmp_path / "migrations"))


async def test_twenty_migrations_at_once_apply_each_file_once(empty_database: str) -> None:
    answers = await asyncio.gather(*(migrate(empty_database) for _ in range(20)))
    assert sorted(answers, key=len)[-1] == NAMES
    assert sum(len(answer) for answer in answers) == len(NAMES)
    assert await migrate(empty_database) == []


async def test_failing_migration_leaves_nothing_behind(empty_database: str, folder: Path) -> None:
    (folder / f"{len(NAMES) + 1:04}_break_things.sql").write_text(
        "CREATE TABLE half (); SELECT 1/0;"
    )
    with pytest.raises(asyncpg.DivisionByZeroError):
        await migrate(empty_database, folder)
    tables = await _fetch(empty_database, "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
    assert tables == []
    assert await migrate(empty_database) == NAMES


async def test_applied_file_that_changed_is_refused(database: str, folder: Path) -> None:
    path = folder / f"{NAMES[0]}.sql"
    path.write_text(path.read_text() + "-- changed\n")
    with pytest.raises(MigrationError, match="has changed since it was applied"):
        await migrate(database, folder)


async def test_database_newer_than_the_image_is_left_alone(database: str, folder: Path) -> None:
    (folder / f"{NAMES[-1]}.sql").unlink()
    assert await migrate(database, folder) == []


def test_gap_in_the_numbers_is_refused(folder: Path) -> None:
    (folder / f"{NAMES[1]}.sql").unlink()
    with pytest.raises(MigrationError, match="expected number 0002"):
        read_migrations(folder)


async def test_tables_that_stock_saq_made_keep_their_jobs(empty_database: str) -> None:
    pool = psycopg_pool.AsyncConnectionPool(empty_database, open=False)
    stock = StockQueue(pool, manage_pool_lifecycle=True, min_size=1, max_size=2)
    await stock.connect()
    job = await stock.enqueue("example_task", message="from before")
    assert job is not None
    await stock.disconnect()
    assert await migrate(empty_database) == NAMES
    rows = await _fetch(empty_database, "SELECT key, task, status FROM background_jobs")
    assert [tuple(row) for row in rows] == [(job.key, "example_task", "queued")]
    (counter,) = await _fetch(
        empty_database,
        "SELECT max_value FROM pg_sequences WHERE sequencename = 'saq_jobs_lock_key_seq'",
    )
    assert counter["max_value"] == 2**63 - 1, "the counter that ends all enqueues is out of reach"


async def test_migrate_says_what_it_applied_and_fails_with_a_sentence(empty_database: str) -> None:
    def run(dsn: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "service", "migrate"], cwd=ROOT, capture_output=True, text=True,
            check=False, env={"STAGE": "local", "DATABASE_URL": dsn, "LOG_LEVEL": "warning"},
        )  # fmt: skip

    first = run(empty_database)
    assert first.returncode == 0
    assert first.stdout.splitlines() == [f"applied {name}" for name in NAMES]
    away = run("postgresql://nobody@127.0.0.1:1/nowhere")
    assert away.returncode == 1
    assert "cannot reach the database" in away.stderr
    assert "Traceback" not in away.stderr
