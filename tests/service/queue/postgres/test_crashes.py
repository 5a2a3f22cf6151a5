"""Jobs of dead workers: queued again at no attempt, until they are suspected of the deaths."""

import asyncio

import pytest
from saq import Status

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import OwnServer
from tests.service.conftest import Ledger, claim, let_rescue, put, rescue, stored


async def _put_with_crashes(queue: PostgresQueue, crashes: int, **options: int) -> str:
    job = await put(queue, **options)
    await queue.pool.execute("UPDATE saq_jobs SET crashes = $2 WHERE key = $1", job.key, crashes)
    return job.key


async def test_crash_costs_no_attempt_and_is_counted(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue, retries=1)
    await rescue(await claim(other), by=queue)
    row = await ledger.tracked(job.key)
    assert (row["status"], row["attempts"], row["crashes"]) == ("queued", 0, 1)
    assert row["error"] == "its worker died while running it"
    held = await claim(queue)
    assert (held.attempts, held.crashes) == (0, 1), "SAQ's worker counts this attempt itself"
    await queue.finish(held, Status.COMPLETE)
    assert (await ledger.tracked(job.key))["error"] is None


async def test_every_claim_counts_an_attempt_and_a_hand_back_gives_it_back(
    queue: PostgresQueue,
) -> None:
    job = await put(queue, retries=5)
    for attempts in (1, 2, 3):
        held = await claim(queue)
        assert held.attempts == attempts - 1
        assert (await stored(queue, job.key))["attempts"] == attempts
        await queue.hand_back([held])
        assert (await stored(queue, job.key))["attempts"] == attempts - 1
        await queue.retry(await claim(queue), "it failed")
    assert (await stored(queue, job.key))["attempts"] == 3


async def test_third_crash_fails_the_job_for_good(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    key = await _put_with_crashes(queue, 1)
    await rescue(await claim(other), by=queue)
    row = await ledger.tracked(key)
    assert (row["status"], row["crashes"]) == ("queued", 2)
    await rescue(await claim(other), by=queue)
    row = await ledger.tracked(key)
    assert (row["status"], row["crashes"]) == ("failed", 3)
    assert row["error"] == "its worker died 3 times while running it"
    assert await queue.dequeue(timeout=0.2) is None
    job = await queue.job(key)
    assert job is not None
    await queue.retry(job, "by hand")
    assert (await stored(queue, key))["crashes"] == 0, "an operator has fixed it"


async def test_worker_runs_one_suspect_at_a_time_and_all_others_beside_it(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    suspects = {await _put_with_crashes(queue, 2) for _ in range(3)}
    others = {await _put_with_crashes(queue, 1) for _ in range(3)}
    taken = await asyncio.gather(*(queue.dequeue(timeout=1) for _ in range(6)))
    held = [job for job in taken if job is not None]
    assert len(held) == 4
    assert others < {job.key for job in held}
    elsewhere = await claim(other)
    assert elsewhere.key in suspects, "the next death there has one suspect, too"
    assert await other.dequeue(timeout=0.3) is None
    (suspect,) = [job for job in held if job.key in suspects]
    await queue.finish(suspect, Status.COMPLETE)
    last = await claim(queue)
    assert {suspect.key, elsewhere.key, last.key} == suspects


async def test_thousand_jobs_of_a_dead_worker_are_back_at_once(queue: PostgresQueue) -> None:
    await let_rescue(queue)
    await queue.pool.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, owner, lease, attempts, scheduled)"
        """ SELECT 'job' || n, '{"function": "sleep"}', 'default', 'active', 'gone', 1, 1, 1"""
        " FROM generate_series(1, 1000) AS n"
    )
    swept = await queue.sweep()
    assert len(set(swept)) == len(swept) == 1000
    writes = await queue.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM saq_jobs")
    assert writes == 1, "in one statement"
    assert (await queue.stats()).queued == 1000


async def test_workers_that_find_the_same_dead_one_take_each_job_once(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await let_rescue(queue)
    await let_rescue(other)
    jobs = [await put(queue) for _ in range(30)]
    for _ in jobs:
        await claim(queue)
    # all at once: else the first are back, and claimed again, before the last are left
    await queue.pool.execute("UPDATE saq_jobs SET owner = 'gone'")
    answers = await asyncio.gather(*(which.sweep() for _ in range(3) for which in (queue, other)))
    taken = [key for answer in answers for key in answer]
    assert len(taken) == len(set(taken))
    rows = await queue.pool.fetch("SELECT DISTINCT crashes, status FROM saq_jobs")
    assert [tuple(row) for row in rows] == [(1, "queued")]


async def test_jobs_of_a_live_worker_are_left_to_it_however_long_they_run(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    await let_rescue(queue)
    job = await put(queue, timeout=1)
    await claim(other)
    await queue.pool.execute("UPDATE saq_jobs SET started_at = now() - interval '1 day'")
    assert await queue.sweep() == []
    assert (await stored(queue, job.key))["owner"] == other.owner


async def test_worker_that_was_cut_off_itself_rescues_no_job_for_a_while(
    queue: PostgresQueue,
) -> None:
    await let_rescue(queue)
    await put(queue)
    await queue.pool.execute("UPDATE saq_jobs SET status = 'active', owner = 'gone'")
    await queue.pool.execute("UPDATE queue_workers SET expires_at = now() - interval '1 s'")
    assert await queue.sweep() == [], "the other may have been cut off as well, and be back"
    await queue.pool.execute("UPDATE queue_workers SET steady_since = now() - interval '13 s'")
    assert len(await queue.sweep()) == 1


async def test_no_job_is_rescued_right_after_a_restart_of_the_database(
    own_server: OwnServer, queue: PostgresQueue
) -> None:
    own_server.stop()
    own_server.start()
    restarted = PostgresQueue(own_server.dsn, queue.registry)
    await restarted.connect()
    try:
        await put(restarted)
        await restarted.pool.execute("UPDATE saq_jobs SET status = 'active', owner = 'slow'")
        await restarted.sweep()
        await restarted.pool.execute("UPDATE queue_workers SET steady_since = '-infinity'")
        assert await restarted.sweep() == [], "no worker has had the time to renew its lease"
    finally:
        await restarted.disconnect()


@pytest.mark.parametrize("retries", [1, 3])
async def test_attempts_are_used_up_by_failures_alone(queue: PostgresQueue, retries: int) -> None:
    await put(queue, retries=retries)
    for attempt in range(1, retries + 1):
        held = await claim(queue)
        held.attempts += 1  # as SAQ's worker does
        assert held.retryable == (attempt < retries)
        await queue.retry(held, "it failed")
