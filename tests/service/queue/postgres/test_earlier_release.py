"""Images before this release work on its tables: beside it during a rollout, and after a rollback.

Their history was a table that triggers wrote.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from service.migrate import migrate
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import Processes, until
from tests.service.conftest import claim
from tests.service.queue.postgres.earlier import FIRST_OF_THIS_RELEASE, Earlier, earlier
from tests.service.queue.postgres.places import misplaced
from tests.service.test_migrate import copy_of_the_files

DROPS_INDEXES = "0021_drop_status_indexes"
ENDED = ("complete", "failed", "aborted")


@pytest.fixture
async def old(application_dsn: str) -> AsyncIterator[Earlier]:
    async with earlier(application_dsn) as made:
        yield made


@pytest.fixture
def files_before(tmp_path: Path) -> Path:
    """The migrations of the release before."""
    folder = copy_of_the_files(tmp_path / "before")
    for file in (folder / "queue/migrations").glob("*.sql"):
        if int(file.name[:4]) >= FIRST_OF_THIS_RELEASE:
            file.unlink()
    return folder


async def history(connection: Any, key: str) -> dict[str, Any]:
    """The newest job of that key; there is one of each id."""
    rows = await connection.fetch("SELECT * FROM background_jobs WHERE key = $1 ORDER BY id", key)
    assert len({row["id"] for row in rows}) == len(rows)
    return dict(rows[-1])


async def test_each_step_of_an_earlier_worker_is_in_the_history(
    old: Earlier, db: asyncpg.Connection
) -> None:
    await old.enqueue("good", "bad", "retried")
    row = await history(db, "good")
    assert (row["status"], row["task"], row["worker_id"]) == ("queued", "sleep", None)
    assert row["created_at"] is not None
    claimed = {row["key"]: row for row in await old.claim(3)}
    row = await history(db, "good")
    assert (row["status"], row["attempts"], row["worker_id"]) == ("active", 1, "earlier")
    for key, status in (("good", "complete"), ("bad", "failed"), ("retried", "queued")):
        assert await old.end([claimed[key]], status) == 1
        row = await history(db, key)
        assert (row["status"], row["worker_id"]) == (status, "earlier")
        assert (row["finished_at"] is not None) is (status in ENDED)
        assert row["is_bad"] is (status == "failed")
        assert row["error"] == ("broken" if status == "failed" else None)
    await old.run("statements.ABORT", "retried", "default", "not needed")
    row = await history(db, "retried")
    assert (row["status"], row["error"], row["is_bad"]) == ("aborted", "not needed", True)
    await old.run("statements.RETRY_ENDED", "bad", "default", b"{}")
    row = await history(db, "bad")
    assert (row["status"], row["finished_at"], row["is_bad"]) == ("queued", None, False)


async def test_a_key_that_an_earlier_image_takes_again_is_a_new_job(
    old: Earlier, db: asyncpg.Connection
) -> None:
    await old.enqueue("again")
    await old.end(await old.claim(), "failed")
    first = await history(db, "again")
    assert await old.enqueue("again") == ["again"]
    new = await history(db, "again")
    assert new["id"] > first["id"]
    assert new["created_at"] > first["created_at"]
    assert (new["status"], new["worker_id"], new["is_bad"]) == ("queued", None, False)
    (kept,) = await db.fetch("SELECT * FROM job_archive")
    assert dict(kept) == first


async def test_an_earlier_image_prunes_rows_and_the_history_of_ninety_days(
    old: Earlier, db: asyncpg.Connection
) -> None:
    await old.enqueue("old", "recent", "kept for ever")
    await old.end(await old.claim(3), "complete")
    await db.execute(
        "UPDATE saq_jobs SET finished_at = now() - interval '91 days' WHERE key <> 'recent'"
    )
    await db.execute("UPDATE saq_jobs SET expire_at = 1 WHERE key <> 'kept for ever'")
    assert len(await old.run("statements.PRUNE_JOBS")) == 2
    assert len(await old.run("table_statements.PRUNE_HISTORY")) == 1
    assert await old.run("statements.CLOSE_LOST", ["default"]) == []
    found = await old.run("job_history.newest", 50)
    assert [row["key"] for row in found] == ["kept for ever", "recent"]
    assert await old.run("job_history.task", "sleep", 50) == found
    assert await old.run("job_history.failed", "failed", 50) == []


async def test_an_earlier_image_on_redis_writes_its_history(
    old: Earlier, db: asyncpg.Connection
) -> None:
    (made,) = await old.run("redis_history.INSERT", "k", "default", "sleep", 0)
    row = await history(db, "k")
    assert (row["id"], row["status"], row["attempts"]) == (made["id"], "queued", 0)
    change = ["default", ["k"], ["failed"], [1], [0], ["broken"], ["w"], [0.0], [1], [made["id"]]]
    assert len(await old.run("redis_history.CHANGE", *change)) == 1
    row = await history(db, "k")
    assert (row["status"], row["error"], row["is_bad"]) == ("failed", "broken", True)
    assert (await old.run("redis_history.COUNTS", "default", 60.0, 100))[0]["failed"] == 1
    assert len(await old.run("redis_history.DELETE", made["id"], "default")) == 1
    assert await db.fetchval("SELECT count(*) FROM background_jobs") == 0


async def test_both_releases_share_a_queue(
    old: Earlier, queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await old.enqueue("theirs")
    job = await claim(queue)
    assert job.key == "theirs"
    await queue.retry(job, "again")
    (row,) = await old.claim()
    assert await old.end([row], "complete") == 1
    found = await history(db, "theirs")
    assert (found["status"], found["attempts"], found["worker_id"]) == ("complete", 2, "earlier")
    await queue.enqueue("sleep", seconds=0, key="ours")
    await old.end(await old.claim(), "failed")
    assert (await history(db, "ours"))["worker_id"] == "earlier"
    await db.execute("UPDATE saq_jobs SET expire_at = 1")
    assert len(await old.run("statements.PRUNE_JOBS")) == 2
    assert [each.key for each in await queue.list_records()] == ["ours", "theirs"]


async def work(process: Earlier, name: str, until_done: asyncio.Event) -> list[str]:
    """Enqueue, claim and end without a pause. Returns the keys that were acknowledged."""
    keys: list[str] = []
    slowest = 0.0
    loop = asyncio.get_running_loop()
    while not until_done.is_set() or len(keys) < 50:
        began = loop.time()
        key = f"{name}-{len(keys)}"
        keys += await process.enqueue(key)
        claimed = await process.claim(3)
        await process.end(claimed[:1], "complete")
        await process.end(claimed[1:2], "failed")
        await process.end(claimed[2:], "queued")
        if len(keys) % 5 == 0:
            await process.run("statements.ABORT", key, "default", "x")
            await process.run("job_history.newest", 5)
        if len(keys) % 20 == 0:
            await process.run("statements.PRUNE_JOBS")
            await process.run("table_statements.PRUNE_HISTORY")
            await process.run("statements.CLOSE_LOST", ["default"])
        slowest = max(slowest, loop.time() - began)
        await asyncio.sleep(0)
    assert slowest < 5, "the migration has held a lock for long"
    return keys


async def test_a_database_in_use_comes_over_while_earlier_images_work(
    empty_database: str, files_before: Path, root: Path
) -> None:
    await migrate(empty_database, files_before)
    async with earlier(empty_database) as old, earlier(empty_database, "second") as second:
        waiting = ["queued", "delayed"]
        states = [*waiting, "active", "complete", "failed", "retried", "deleted", "taken"]
        await old.enqueue(*(state for state in states if state not in waiting))
        held = {row["key"]: row for row in await old.claim(10)}
        await old.enqueue("queued")
        await old.enqueue("delayed", delay=9000)
        for key in ("complete", "deleted", "taken"):
            await old.end([held[key]], "complete")
        await old.end([held["failed"]], "failed")
        await old.end([held["retried"]], "queued")
        db = await asyncpg.connect(empty_database)
        try:
            before = {key: await history(db, key) for key in states}
            done = asyncio.Event()
            working = [
                asyncio.create_task(work(process, process.owner, done)) for process in (old, second)
            ]
            await asyncio.sleep(0.2)
            applied = await asyncio.gather(*(migrate(empty_database, root) for _ in range(3)))
            assert len(max(applied, key=len)) >= 3
            assert not [name for each in applied for name in each if DROPS_INDEXES in name]
            await asyncio.sleep(0.2)
            done.set()
            keys = [key for each in working for key in await each]
            rows = await db.fetch("SELECT key, status FROM background_jobs")
            assert sorted(row["key"] for row in rows) == sorted([*states, *keys])
            assert await misplaced(db) == []
            for key in ("delayed", "active", "complete", "failed", "deleted", "taken"):
                assert await history(db, key) == before[key]

            # Jobs from before go on to their end, whoever works on them.
            await db.execute("DELETE FROM saq_jobs WHERE key IN ('deleted', 'active')")
            assert await history(db, "deleted") == before["deleted"]
            was = await history(db, "active")
            assert (was["status"], was["error"]) == (
                "aborted", "its row was deleted while it was active",
            )  # fmt: skip
            await old.enqueue("taken")
            assert (await history(db, "taken"))["id"] > before["taken"]["id"]
            await old.run("statements.RETRY_ENDED", "failed", "default", b"{}")
            while rows := await old.claim(100):
                await old.end(rows, "complete")
            for key in ("queued", "retried", "failed", "taken"):
                row = await history(db, key)
                assert row["status"] in (ENDED if key in ("queued", "retried") else ["complete"])
                assert row["worker_id"] in ("earlier", "second")
                assert row["finished_at"] is not None
            # … and leave nothing twice.
            assert await misplaced(db) == []
            await db.execute("DELETE FROM saq_jobs")
            assert await misplaced(db) == []
            ids = [row["id"] for row in await db.fetch("SELECT id FROM background_jobs")]
            assert len(ids) == len(set(ids)) == len(states) + len(keys) + 1
        finally:
            await db.close()


async def test_their_indexes_go_once_none_of_them_has_worked_for_a_day(
    empty_database: str, files_before: Path, root: Path
) -> None:
    await migrate(empty_database, files_before)
    db = await asyncpg.connect(empty_database)
    try:
        async with earlier(empty_database) as old:
            await old.enqueue("theirs", "also theirs")
            await db.execute(
                "INSERT INTO queue_workers (id, queue, expires_at)"
                " VALUES ('earlier', 'default', now() + interval '12 s')"
            )
            assert await migrate(empty_database, root)
            indexes = "SELECT count(*) FROM pg_indexes WHERE indexname = 'saq_jobs_waiting_idx'"
            for condition in (
                "UPDATE moorage_migrations SET applied_at = now() - interval '2 days'",
                "DELETE FROM queue_workers",
            ):
                assert await migrate(empty_database, root) == []
                assert await db.fetchval(indexes) == 1
                await db.execute(condition)
            busy = db.transaction()
            await busy.start()
            await db.fetch("SELECT * FROM saq_jobs")  # the indexes go when nobody uses the table
            assert await migrate(empty_database, root) == []
            await busy.rollback()
            assert await migrate(empty_database, root) == [f"queue/{DROPS_INDEXES}"]
            assert await db.fetchval(indexes) == 0
            # a rollback after that is right all the same
            assert await old.end(await old.claim(1), "complete") == 1
            await old.enqueue("later", delay=3600)
            assert await misplaced(db) == []
    finally:
        await db.close()


async def test_a_migration_that_is_killed_goes_on_where_it_was(
    empty_database: str, files_before: Path, root: Path, processes: Processes
) -> None:
    await migrate(empty_database, files_before)
    db = await asyncpg.connect(empty_database)
    try:
        async with earlier(empty_database) as old:
            await old.enqueue("there")
        long = db.transaction(isolation="repeatable_read")
        await long.start()
        await db.fetch("SELECT 1")  # a snapshot, for whose end the building of an index waits
        child = processes.start("migrate", DATABASE_URL=empty_database)

        async def is_building() -> bool:
            await db.execute("SELECT pg_stat_clear_snapshot()")
            found: bool = await db.fetchval(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database()"
                " AND query ~ 'INDEX CONCURRENTLY' AND wait_event_type = 'Lock')"
            )
            return found

        await until(is_building, seconds=20, what="an index is being built")
        child.send_signal(signal.SIGKILL)
        child.wait(10)
        await db.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND application_name = 'migrate'"
        )
        await long.rollback()
        half = "SELECT count(*) FROM pg_index WHERE NOT indisvalid"
        assert await db.fetchval(half) == 1
        assert await migrate(empty_database, root)
        assert await db.fetchval(half) == 0
        assert await migrate(empty_database, root) == []
        assert (await history(db, "there"))["status"] == "queued"
    finally:
        await db.close()


async def test_a_migration_waits_for_no_lock_behind_which_others_queue(
    empty_database: str, files_before: Path, root: Path
) -> None:
    await migrate(empty_database, files_before)
    reader = await asyncpg.connect(empty_database)
    try:
        long = reader.transaction()
        await long.start()
        await reader.fetch("SELECT * FROM background_jobs")
        migrating = asyncio.create_task(migrate(empty_database, root))
        async with earlier(empty_database) as old:
            loop = asyncio.get_running_loop()
            slowest = 0.0
            for number in range(40):
                began = loop.time()
                await old.enqueue(str(number))
                slowest = max(slowest, loop.time() - began)
                await asyncio.sleep(0.05)
        assert not migrating.done()
        assert slowest < 2
        await long.rollback()
        assert await migrating
    finally:
        await reader.close()


async def test_who_may_read_the_history_may_read_the_view(
    empty_database: str, files_before: Path, root: Path
) -> None:
    await migrate(empty_database, files_before)
    db = await asyncpg.connect(empty_database)
    try:
        await db.execute('DROP ROLE IF EXISTS "who\'s reading"; CREATE ROLE "who\'s reading"')
        await db.execute('GRANT SELECT ON background_jobs, saq_jobs TO "who\'s reading"')
        await migrate(empty_database, root)
        await db.execute('SET ROLE "who\'s reading"')
        for table in ("background_jobs", "queue_ready", "queue_delayed", "queue_claims"):
            assert await db.fetch(f"SELECT * FROM {table}") == []
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await db.execute(f"DELETE FROM {table}")
    finally:
        await db.execute('RESET ROLE; DROP OWNED BY "who\'s reading"; DROP ROLE "who\'s reading"')
        await db.close()
