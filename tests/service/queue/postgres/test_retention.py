"""How long ended jobs, their history and the rows of workers are kept."""

import asyncpg
import pytest
from saq import Job, Status

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import Ledger, claim, put, stored

FORTNIGHT_SECONDS = 14 * 86400


async def _kept_seconds(queue: PostgresQueue, key: str) -> float | None:
    kept: float | None = await queue.pool.fetchval(
        "SELECT (expire_at - extract(epoch FROM now()))::float8 FROM saq_jobs WHERE key = $1", key
    )
    return kept


@pytest.mark.parametrize(
    ("status", "seconds"),
    [
        (Status.COMPLETE, 500),
        (Status.FAILED, FORTNIGHT_SECONDS),
        (Status.ABORTED, FORTNIGHT_SECONDS),
    ],
)
async def test_ended_job_is_kept_for_its_ttl_and_what_went_wrong_two_weeks_at_least(
    queue: PostgresQueue, status: Status, seconds: int
) -> None:
    job = await put(queue, ttl=500)
    assert await _kept_seconds(queue, job.key) is None, "a waiting job has no end"
    await queue.finish(await claim(queue), status)
    kept = await _kept_seconds(queue, job.key)
    assert kept is not None
    assert seconds - 60 < kept < seconds + 2
    await queue.prune()
    assert await queue.job(job.key) is not None
    long = await put(queue, ttl=2 * FORTNIGHT_SECONDS)
    await queue.finish(await claim(queue), status)
    kept = await _kept_seconds(queue, long.key)
    assert kept is not None
    assert kept > 2 * FORTNIGHT_SECONDS - 60


async def test_ttl_of_zero_keeps_a_job_for_ever_and_a_negative_one_not_at_all(
    queue: PostgresQueue,
) -> None:
    for key, ttl in (("for-ever", 0), ("at-all", -1)):
        await queue.enqueue(Job("sleep", kwargs={"seconds": 0}, key=key, ttl=ttl))
        await queue.finish(await claim(queue), Status.COMPLETE)
    await queue.prune()
    assert await queue.job("at-all") is None
    assert await queue.job("for-ever") is not None
    assert await _kept_seconds(queue, "for-ever") is None


async def test_cancelled_and_failed_jobs_of_any_kind_are_kept_two_weeks(
    queue: PostgresQueue,
) -> None:
    job = await put(queue, ttl=1)
    await queue.abort(job, "while it waits")
    kept = await _kept_seconds(queue, job.key)
    assert kept is not None
    assert FORTNIGHT_SECONDS - 60 < kept < FORTNIGHT_SECONDS + 2


async def test_job_that_waits_again_or_runs_is_not_pruned(queue: PostgresQueue) -> None:
    retried, again, running = [await put(queue, key=key) for key in ("retried", "again", "running")]
    for _ in range(3):
        await queue.finish(await claim(queue), Status.FAILED, error="x")
    await queue.pool.execute("UPDATE saq_jobs SET expire_at = 1")
    await queue.retry(running, "by hand")
    await claim(queue)
    await queue.retry(retried, "by hand")
    await put(queue, key="again")
    rows = await queue.pool.fetch("SELECT expire_at FROM saq_jobs")
    assert [row["expire_at"] for row in rows] == [None] * 3
    assert await queue.prune() == 0
    assert None not in await queue.jobs([job.key for job in (retried, again, running)])


async def test_backlog_of_expired_jobs_is_deleted_in_small_statements(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await db.execute(
        """
        CREATE TABLE deletions (rows BIGINT);
        CREATE FUNCTION count_deletion() RETURNS TRIGGER LANGUAGE plpgsql AS $$
        BEGIN INSERT INTO deletions SELECT count(*) FROM gone; RETURN NULL; END $$;
        CREATE TRIGGER count_deletion AFTER DELETE ON saq_jobs REFERENCING OLD TABLE AS gone
        FOR EACH STATEMENT EXECUTE FUNCTION count_deletion();
        INSERT INTO saq_jobs (key, job, queue, status, expire_at)
        SELECT 'job' || n, '{}', 'default', CASE n % 3 WHEN 0 THEN 'failed' WHEN 1 THEN 'aborted'
               ELSE 'complete' END, n FROM generate_series(1, 2500) AS n
        """
    )
    kept = await put(queue)
    assert await queue.prune() == 2500
    rows = await queue.pool.fetch("SELECT rows FROM deletions WHERE rows > 0")
    assert sum(row["rows"] for row in rows) == 2500
    assert max(row["rows"] for row in rows) <= 1000
    assert (await stored(queue, kept.key))["status"] == "queued"
    assert await queue.prune() == 0


async def test_history_is_kept_ninety_days_and_that_of_a_job_that_waits_for_ever(
    queue: PostgresQueue, ledger: Ledger
) -> None:
    jobs = [await put(queue, key=key) for key in ("old", "recent", "waiting")]
    for _ in range(2):
        await queue.finish(await claim(queue), Status.COMPLETE)
    for key, days in (("old", 91), ("recent", 89)):
        await queue.pool.execute(
            "UPDATE saq_jobs SET created_at = now() - make_interval(days => $2),"
            " finished_at = now() - make_interval(days => $2), expire_at = 1 WHERE key = $1",
            key,
            days,
        )
    await queue.pool.execute(
        "UPDATE saq_jobs SET created_at = now() - interval '1 year' WHERE key = 'waiting'"
    )
    assert await queue.prune() == 3  # two rows, then the history of one
    found = await queue.pool.fetch("SELECT key FROM background_jobs ORDER BY id")
    assert [row["key"] for row in found] == [job.key for job in jobs[1:]]


async def test_what_workers_leave_behind_is_cleared_away(queue: PostgresQueue) -> None:
    await queue.pool.execute(
        "INSERT INTO queue_workers (id, queue, expires_at) VALUES"
        " ('long dead', 'default', now() - interval '2 hours'),"
        " ('dead', 'default', now() - interval '1 minute')"
    )
    await queue.worker_info("alive", queue.name, ttl=60)
    await queue.worker_info("gone", queue.name, ttl=-10)
    assert set((await queue.info())["workers"]) == {"alive"}
    assert await queue.prune() == 2
    rows = await queue.pool.fetch("SELECT id FROM queue_workers")
    assert [row["id"] for row in rows] == ["dead"]
    rows = await queue.pool.fetch("SELECT worker_id FROM saq_stats")
    assert [row["worker_id"] for row in rows] == ["alive"]
