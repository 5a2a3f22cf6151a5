"""Bulk actions on Postgres: each step is one transaction, and what it did can be undone."""

import asyncio
import json
from typing import Any

import asyncpg
import pytest
from saq import Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.bulk_action import BulkAction, BulkRequest
from service.queue.errors import BulkStateError
from service.queue.postgres import bulk_steps
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tables import bulk_runner
from tests.service.conftest import claim, put, stored
from tests.service.queue.backends.test_bulk import begin, done, runner


async def fill(db: asyncpg.Connection, count: int, status: str = "failed") -> None:
    """Failed jobs with the keys 1, 2, …, as an engine of ours has left them."""
    await db.execute(
        """INSERT INTO saq_jobs (key, job, queue, status, task, error, attempts, lease, created_at,
                                 started_at, finished_at, is_bad, scheduled, expire_at)
        SELECT n::text, convert_to(json_build_object(
                   'function', 'sleep', 'key', n::text, 'queue', 'default',
                   'kwargs', json_build_object('seconds', 0), 'retries', 3, 'status', $2::text,
                   'attempts', 3, 'error', 'Traceback …')::text, 'UTF8'),
               'default', $2, 'sleep', 'RuntimeError: no', 3, 6, now() - interval '1 hour',
               now() - interval '1 minute', now() - interval '1 minute', TRUE, 1,
               extract(epoch FROM now())::bigint + 100000
        FROM generate_series(1, $1::int) AS n""",
        count, status,
    )  # fmt: skip


async def rows(db: asyncpg.Connection, columns: str) -> list[dict[str, Any]]:
    return [dict(row) for row in await db.fetch(f"SELECT {columns} FROM saq_jobs ORDER BY key")]


async def test_a_process_that_dies_between_two_steps_leaves_the_rest_to_another(
    queue: PostgresQueue, other: PostgresQueue, db: asyncpg.Connection
) -> None:
    count = 3 * bulk_runner.STEP_JOBS + 1
    await fill(db, count)
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    assert await queue.bulk.claim("somebody") is not None
    assert await other.bulk.claim(other.owner) is None, "it is being made"

    first = asyncio.create_task(bulk_runner.BulkRunner(queue).run())
    await db.execute("UPDATE bulk_actions SET leased_until = now()")
    queue.bulk.woken.set()

    async def has_begun() -> bool:
        return (await other.bulk.get(action.id)).changed > 0

    while not await has_begun():
        await asyncio.sleep(0)
    queue.database.terminate()  # in the middle of whatever it does
    first.cancel()
    await asyncio.wait([first])
    left = await other.bulk.get(action.id)
    assert left.state == "running"
    assert 0 < left.changed < count
    waiting = "SELECT count(*) FROM queue_ready"
    assert await db.fetchval(waiting) == left.changed, "a step and its count are one"

    await db.execute("UPDATE bulk_actions SET leased_until = now()")  # twenty seconds later
    async with runner(other):
        made = await done(other, action)
    assert made.changed == count
    assert await db.fetchval(waiting) == count
    assert await db.fetchval("SELECT DISTINCT lease FROM saq_jobs") == 7, "each once"
    await queue.connect()


async def test_who_has_lost_the_lease_changes_nothing(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 3)
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    assert await queue.bulk.claim("another") is not None
    assert await queue.change_jobs(action, {1: ("default", "1")}, 1) is None
    assert {row["status"] for row in await rows(db, "status")} == {"failed"}


async def test_a_locked_job_is_waited_for_and_no_other_with_it(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 5)
    transaction = db.transaction()
    await transaction.start()
    await db.execute("SELECT FROM saq_jobs WHERE key = '3' FOR UPDATE")
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    async with runner(queue):
        while (now := await queue.bulk.get(action.id)).changed < 4:
            await asyncio.sleep(0.02)
        assert now.state == "running"
        await transaction.rollback()
        assert (await done(queue, action)).changed == 5


async def test_what_ended_after_it_began_is_not_meant(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 3)
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    await db.execute("UPDATE saq_jobs SET finished_at = clock_timestamp() WHERE key = '2'")
    async with runner(queue):
        assert (await done(queue, action)).changed == 2
    assert (await stored(queue, "2"))["status"] == "failed"


async def test_a_stock_client_sees_a_retried_job_wait_with_all_its_attempts(
    queue: PostgresQueue, stock: StockQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 1)
    async with runner(queue):
        action = await begin(queue, "retry", wanted={"task": "sleep"})
        seen = await stock.job("1")
        assert seen is not None
        assert (seen.status, seen.attempts, seen.error) == (Status.QUEUED, 0, None)
        await done(queue, await queue.bulk.undo(action.id, "a"))
    seen = await stock.job("1")
    assert seen is not None
    assert (seen.status, seen.error) == (Status.FAILED, "RuntimeError: no")


async def test_cancelled_moved_and_hurried_jobs_become_what_they_were(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await put(queue, key="a", delay=100, priority=5)
    await put(queue, key="b", priority=5)
    what = "key, status, priority, scheduled, is_delayed, error, finished_at, expire_at"
    places = "SELECT id, scheduled, priority FROM queue_ready ORDER BY id"
    before, placed = await rows(db, what), await db.fetch(places)
    wanted = {"task": "sleep"}
    async with runner(queue):
        for request, changed in (
            ({"action": "priority", "priority": 3}, 2),
            ({"action": "run-now"}, 1),
            ({"action": "cancel"}, 2),
        ):
            action = await begin(queue, wanted=wanted, **request)
            assert action.changed == changed
            now = await rows(db, what)
            assert now != before
            if request["action"] == "run-now":
                due = await db.fetch("SELECT id FROM queue_ready")
                assert len(due) == 2
                assert not await db.fetch("SELECT FROM queue_delayed")
            undo = await done(queue, await queue.bulk.undo(action.id, "b"))
            assert undo.changed == changed
            assert await rows(db, what) == before
            assert await db.fetch(places) == placed
    assert [job.key for job in [await claim(queue)]] == ["b"]


async def test_an_undo_leaves_jobs_alone_that_somebody_has_changed(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 2)
    async with runner(queue):
        action = await begin(queue, "retry", wanted={"task": "sleep"})
        job = await claim(queue)
        undo = await done(queue, await queue.bulk.undo(action.id, "a"))
        assert undo.changed == 1
        assert (await stored(queue, job.key))["status"] == "active"
        await queue.finish(job, Status.COMPLETE, result=7)
    assert (await stored(queue, job.key))["status"] == "complete"


async def test_a_job_that_starts_meanwhile_is_not_cancelled_with_those_that_wait(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    job = await put(queue)
    wanted = {"task": "sleep"}
    action = await queue.bulk.begin(BulkRequest(action="cancel", wanted=wanted, who="a"))
    held = await claim(queue)
    assert await queue.bulk.claim(queue.owner) is not None
    number = await db.fetchval("SELECT background_job_id FROM saq_jobs")
    made = await queue.change_jobs(action, {number: ("default", job.key)}, action.last)
    assert made is not None
    assert (made.state, made.changed) == ("done", 0)
    await queue.finish(held, Status.COMPLETE)
    assert (await stored(queue, job.key))["status"] == "complete"


async def test_a_job_that_stays_locked_is_told_and_not_left_out(
    queue: PostgresQueue, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(db, 3)
    monkeypatch.setattr(bulk_steps, "TRIES", 2)
    transaction = db.transaction()
    await transaction.start()
    await db.execute("SELECT FROM saq_jobs WHERE key = '3' FOR UPDATE")
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    async with runner(queue):
        while (now := await queue.bulk.get(action.id)).state == "running":
            await asyncio.sleep(0.02)
        assert (now.state, now.changed) == ("stopped", 2)
        assert now.error == "1 job is locked by another transaction; resume it later"
        await transaction.rollback()
        await queue.bulk.resume(action.id)
        assert (await done(queue, action)).changed == 3


async def test_an_undo_of_a_priority_keeps_a_later_one(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await put(queue, key="a")
    async with runner(queue):
        first = await begin(queue, "priority", wanted={"task": "sleep"}, priority=5)
        await begin(queue, "priority", wanted={"task": "sleep"}, priority=9)
        undo = await done(queue, await queue.bulk.undo(first.id, "a"))
    assert undo.changed == 0
    assert (await stored(queue, "a"))["priority"] == 9


async def test_what_is_undone_does_not_go_on(queue: PostgresQueue, db: asyncpg.Connection) -> None:
    await fill(db, 2 * bulk_runner.STEP_JOBS)
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    assert await queue.bulk.claim(queue.owner) is not None
    assert await queue.change_jobs(action, {1: ("default", "1")}, 5) is not None
    await queue.bulk.stop(action.id)
    await queue.bulk.undo(action.id, "a")
    with pytest.raises(BulkStateError, match="is undone"):
        await queue.bulk.resume(action.id)


async def test_a_table_that_is_not_there_yet_ends_no_runner(
    queue: PostgresQueue, db: asyncpg.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_runner, "POLL_SECONDS", 0.05)
    await fill(db, 1)
    await db.execute("ALTER TABLE bulk_actions RENAME TO later")
    async with runner(queue):
        await asyncio.sleep(0.3)
        await db.execute("ALTER TABLE later RENAME TO bulk_actions")
        assert (await begin(queue, "retry", wanted={"task": "sleep"})).changed == 1


async def test_a_job_cancelled_before_it_began_has_made_no_attempt(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await put(queue, key="a", delay=100)
    async with runner(queue):
        action = await begin(queue, "cancel", keys=["a"])
        await done(queue, await queue.bulk.undo(action.id, "a"))
    assert await db.fetchval("SELECT count(*) FROM job_attempts") == 0


async def test_a_failing_step_stops_it_and_says_why(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 2)
    action = await queue.bulk.begin(BulkRequest(action="retry", wanted={"task": "sleep"}, who="a"))
    await db.execute("ALTER TABLE bulk_steps RENAME TO gone")

    async def stopped() -> BulkAction:
        while (now := await queue.bulk.get(action.id)).state == "running":
            await asyncio.sleep(0.02)
        return now

    async with runner(queue):
        now = await stopped()
        assert now.state == "stopped"
        assert now.error is not None
        assert "bulk_steps" in now.error
        await db.execute("ALTER TABLE gone RENAME TO bulk_steps")
        await queue.bulk.resume(action.id)
        assert (await done(queue, action)).changed == 2


async def test_steps_too_old_to_be_undone_are_forgotten(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 1)
    async with runner(queue):
        action = await begin(queue, "retry", wanted={"task": "sleep"})
        assert json.loads(await db.fetchval("SELECT was FROM bulk_steps"))[0]["status"] == "failed"
        await db.execute("UPDATE bulk_actions SET ended_at = now() - interval '15 days'")
        await begin(queue, "cancel", wanted={"task": "nothing"})
    assert await db.fetchval("SELECT count(*) FROM bulk_steps") == 0
    assert (await queue.bulk.get(action.id)).changed == 1
