"""The narrow tables follow each change of a job, whoever makes it."""

import asyncpg
import pytest
from saq import Status

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import claim, put
from tests.service.queue.postgres.places import misplaced

LATER = 4102444800  # the year 2100
# What somebody may do in psql, or a client of other software, to a job in any state.
CHANGES = {
    "put off": f"scheduled = {LATER}, is_delayed = TRUE",
    "made due": "scheduled = 1, is_delayed = FALSE",
    "made urgent": "priority = -5",
    "moved": "queue = 'mail'",
    "started": "status = 'active'",
    "started by another engine": "status = 'active', owner = 'gone', lease = lease + 1",
    "asked to stop": "status = 'aborting'",
    "queued again": "status = 'queued', owner = NULL, lease = lease + 1",
    "ended": "status = 'complete', owner = NULL, lease = lease + 1",
    "aborted": "status = 'aborted', owner = NULL, lease = lease + 1",
    "a new job": "status = 'queued', background_job_id = nextval('background_jobs_id_seq'),"
    " lease = lease + 1, owner = NULL",
}
STATES = ("waits", "is delayed", "runs", "runs elsewhere", "has ended")


async def bring_about(queue: PostgresQueue, state: str) -> None:
    await put(queue, key="job", group_key="g", delay=3600 if state == "is delayed" else 0)
    if state in ("runs", "has ended"):
        job = await claim(queue)
        if state == "has ended":
            await queue.finish(job, Status.COMPLETE)
    elif state == "runs elsewhere":
        await queue.pool.execute("UPDATE saq_jobs SET status = 'active', lease = lease + 1")


@pytest.mark.parametrize("state", STATES)
async def test_a_change_by_anybody_moves_the_job(queue: PostgresQueue, state: str) -> None:
    await bring_about(queue, state)
    assert await misplaced(queue.pool) == []
    for name, change in CHANGES.items():
        for then, another in CHANGES.items():
            undone = queue.pool.acquire()
            async with undone as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    await connection.execute(f"UPDATE saq_jobs SET {change}")
                    await connection.execute(f"UPDATE saq_jobs SET {another}")
                    assert await misplaced(connection) == [], f"{name}, then {then}"
                    await connection.execute("DELETE FROM saq_jobs")
                    assert await misplaced(connection) == [], f"{name}, {then}, then deleted"
                finally:
                    await transaction.rollback()


async def test_jobs_that_are_inserted_in_any_state_are_placed(db: asyncpg.Connection) -> None:
    await db.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, group_key, is_delayed)"
        " SELECT status || is_delayed, '{}', 'default', status, status || is_delayed, is_delayed"
        " FROM unnest(ARRAY['queued', 'active', 'aborting', 'complete', 'failed']) AS status,"
        " unnest(ARRAY[FALSE, TRUE]) AS is_delayed"
    )
    assert await misplaced(db) == []
    await db.execute("TRUNCATE saq_jobs")
    assert await misplaced(db) == []
    assert await db.fetchval("SELECT count(*) FROM queue_claims") == 0


async def test_a_claim_s_row_goes_once_its_jobs_have_ended(queue: PostgresQueue) -> None:
    for _ in range(10):
        await put(queue)
        await queue.finish(await claim(queue), Status.COMPLETE)
    assert await queue.dequeue(timeout=0.3) is None
    assert await queue.pool.fetchval("SELECT count(*) FROM queue_claims") <= 1
    await queue.prune()
    assert await queue.pool.fetchval("SELECT count(*) FROM queue_claims") == 0
