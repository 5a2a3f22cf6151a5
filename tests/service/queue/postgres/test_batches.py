"""Many callers, one statement; and two statements never wait for each other in a circle."""

import asyncio

import asyncpg
import pytest
from saq import Job, Status

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.conftest import until
from tests.service.conftest import claim, put

KEYS = [f"key-{number:04}" for number in range(2500)]


async def _commits(queue: PostgresQueue) -> int:
    """How many transactions have written the rows that the jobs have now."""
    written: int = await queue.pool.fetchval("SELECT count(DISTINCT xmin::text) FROM saq_jobs")
    return written


async def _ended(queue: PostgresQueue, keys: list[str]) -> None:
    await queue.enqueue_many(Job("sleep", kwargs={"seconds": 0}, key=key) for key in keys)
    await queue.pool.execute("UPDATE saq_jobs SET status = 'complete'")


async def _until_both_wait(locker: asyncpg.Connection) -> None:
    async def both_wait() -> bool:
        return bool(await locker.fetchval("SELECT count(*) = 2 FROM pg_locks WHERE NOT granted"))

    await until(both_wait, what="two statements wait for locks")


async def test_calls_made_together_share_statements(queue: PostgresQueue) -> None:
    await asyncio.gather(*(put(queue) for _ in range(200)))
    assert await _commits(queue) <= 5
    jobs = await asyncio.gather(*(claim(queue) for _ in range(200)))
    assert await _commits(queue) <= 10
    await asyncio.gather(*(queue.finish(job, Status.COMPLETE, result=job.key) for job in jobs))
    assert await _commits(queue) <= 5
    found = await queue.jobs([job.key for job in jobs])
    assert [job.result if job else None for job in found] == [job.key for job in jobs]


async def test_each_outcome_of_a_shared_statement_is_its_own_jobs(queue: PostgresQueue) -> None:
    jobs = [await put(queue, retries=9, ttl=100 + number) for number in range(12)]
    held = [await claim(queue) for _ in jobs]
    assert held == jobs
    await asyncio.gather(
        queue.finish(held[0], Status.COMPLETE, result={"number": 0}),
        queue.finish(held[1], Status.FAILED, error="broken"),
        queue.finish(held[2], Status.ABORTED, error="stopped"),
        queue.retry(held[3], "try again"),
        queue.hand_back(held[4:6], "drained"),
        *(queue.finish(job, Status.COMPLETE) for job in held[6:]),
    )
    rows = await queue.pool.fetch(
        "SELECT status, error, attempts, expire_at - extract(epoch FROM now())::bigint AS ttl"
        " FROM saq_jobs ORDER BY array_position($1, key)",
        [job.key for job in jobs],
    )
    assert [(row["status"], row["error"], row["attempts"]) for row in rows[:6]] == [
        ("complete", None, 1), ("failed", "broken", 1), ("aborted", "stopped", 1),
        ("queued", "try again", 1), ("queued", "drained", 0), ("queued", "drained", 0),
    ]  # fmt: skip
    assert {row["status"] for row in rows[6:]} == {"complete"}
    for number, row in enumerate(rows[6:], start=6):
        assert 100 + number - 30 < row["ttl"] <= 100 + number + 1


async def test_one_job_that_cannot_be_stored_does_not_spoil_the_others(
    queue: PostgresQueue,
) -> None:
    bad = Job("sleep", kwargs={"seconds": 0}, priority=10**6)
    good = [Job("sleep", kwargs={"seconds": 0}) for _ in range(5)]
    answers = await asyncio.gather(
        *(queue.enqueue(job) for job in (*good[:3], bad, *good[3:])), return_exceptions=True
    )
    assert isinstance(answers.pop(3), Exception)
    assert answers == good
    assert (await queue.stats()).queued == 5


async def test_two_statements_with_the_same_keys_in_opposite_order_both_succeed(
    queue: PostgresQueue, other: PostgresQueue, database: str
) -> None:
    keys = KEYS[:100]
    await _ended(queue, keys)
    locker = await asyncpg.connect(database)

    try:
        async with locker.transaction():
            # Each gets as far as the middle; were one to come from the other end, it would now hold
            # what the first one needs next.
            await locker.execute("SELECT FROM saq_jobs WHERE key = $1 FOR UPDATE", keys[50])
            calls = [
                asyncio.create_task(which.enqueue("sleep", seconds=0, key=key))
                for which, order in ((queue, keys), (other, keys[::-1]))
                for key in order[:1] + order  # the first call has a statement to itself
            ]
            await _until_both_wait(locker)
        answers = await asyncio.gather(*calls)
    finally:
        await locker.close()
    assert sum(answer is not None for answer in answers) == len(keys)


async def test_bulk_enqueues_of_the_same_keys_in_opposite_order_both_succeed(
    queue: PostgresQueue, other: PostgresQueue, database: str
) -> None:
    await _ended(queue, KEYS)

    async def enqueue(which: PostgresQueue, keys: list[str]) -> int:
        jobs = [Job("sleep", kwargs={"seconds": 0}, key=key) for key in keys]
        # a connection of the caller's, on which no time limit for locks ends the wait
        connection = await asyncpg.connect(database)
        try:
            async with connection.transaction():
                answers = await which.enqueue_many(jobs, connection=connection)
        finally:
            await connection.close()
        assert [job.key for job in answers if job] in (keys, []), "in the order of the call"
        return len([job for job in answers if job])

    locker = await asyncpg.connect(database)
    try:
        async with locker.transaction():
            await locker.execute("SELECT FROM saq_jobs WHERE key = $1 FOR UPDATE", KEYS[1250])
            first = asyncio.create_task(enqueue(queue, KEYS))
            second = asyncio.create_task(enqueue(other, KEYS[::-1]))
            await _until_both_wait(locker)
        counts = await asyncio.gather(first, second)
    finally:
        await locker.close()
    assert sorted(counts) == [0, len(KEYS)]


async def test_bulk_enqueue_that_fails_in_a_later_statement_enqueues_nothing(
    queue: PostgresQueue,
) -> None:
    jobs = [Job("sleep", kwargs={"seconds": 0}, key=key) for key in KEYS[:1500]]
    jobs[-1].group_key = "no \x00 in Postgres text"
    with pytest.raises(asyncpg.DataError):
        await queue.enqueue_many(jobs)
    assert (await queue.stats()).queued == 0


async def test_key_that_comes_twice_in_a_bulk_is_enqueued_once_as_it_came_first(
    queue: PostgresQueue,
) -> None:
    jobs = [Job("sleep", kwargs={"seconds": n}, key=f"key-{n % 1500}") for n in range(2000)]
    answers = await queue.enqueue_many(jobs)
    assert [answer is not None for answer in answers] == [True] * 1500 + [False] * 500
    found = await queue.job("key-7")
    assert found is not None
    assert found.kwargs == {"seconds": 7.0}
