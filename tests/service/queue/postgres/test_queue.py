"""The queue on a real Postgres: enqueue, claim, and who may change a job."""

import asyncio
import dataclasses

import pytest
from saq import Job, Status

from service.db import UNAVAILABLE
from service.queue.errors import InvalidPayloadError, JobNotFoundError, JobStateError
from service.queue.job_filter import JobFilter
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from tests.service.conftest import Ledger, claim, put


async def test_key_that_waits_or_runs_is_not_enqueued_again(
    queue: PostgresQueue, ledger: Ledger
) -> None:
    await put(queue, key="once")
    assert await queue.enqueue("sleep", seconds=1, key="once") is None
    held = await claim(queue)
    assert await queue.enqueue("sleep", seconds=1, key="once") is None
    await queue.finish(held, Status.COMPLETE, result="first")
    await put(queue, key="once")
    rows = await queue.pool.fetch("SELECT status FROM background_jobs WHERE key = 'once'")
    assert sorted(row["status"] for row in rows) == ["complete", "queued"], (
        "two jobs, two histories"
    )


async def test_fifty_enqueues_of_one_key_at_once_make_one_job(queue: PostgresQueue) -> None:
    answers = await asyncio.gather(
        *(queue.enqueue("sleep", seconds=0, key="same") for _ in range(50))
    )
    assert sum(answer is not None for answer in answers) == 1


async def test_cancelled_delayed_job_can_be_enqueued_again_for_now(queue: PostgresQueue) -> None:
    job = await put(queue, key="later", delay=3600)
    await queue.abort(job, "not then")
    await put(queue, key="later")
    assert (await claim(queue)).key == "later"


async def test_lower_priority_number_runs_first_and_older_before_newer(
    queue: PostgresQueue,
) -> None:
    for key, priority in (("c", 9), ("a", 0), ("b", 5)):
        await put(queue, key=key, priority=priority)
    assert [(await claim(queue)).key for _ in range(3)] == ["a", "b", "c"]


async def test_two_workers_never_hold_the_same_job(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    jobs = [await put(queue) for _ in range(40)]
    held = await asyncio.gather(*(claim(which) for _ in range(20) for which in (queue, other)))
    assert {job.key for job in held} == {job.key for job in jobs}


async def test_slot_that_gives_up_waiting_loses_no_job(queue: PostgresQueue) -> None:
    for _ in range(20):
        waiting = asyncio.create_task(queue.dequeue())
        await asyncio.sleep(0)
        enqueued = asyncio.create_task(put(queue))
        await asyncio.sleep(0.002)
        waiting.cancel()
        (job,) = await asyncio.gather(enqueued)
        taken = await asyncio.gather(waiting, return_exceptions=True)
        held = taken[0] if isinstance(taken[0], Job) else await claim(queue)
        assert held.key == job.key
        await queue.finish(held, Status.COMPLETE)


async def test_retry_of_a_running_job_is_refused_and_changes_nothing(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue)
    held = await claim(queue)
    before = await ledger.tracked(job.key)
    seen = await other.job(job.key)
    assert seen is not None
    for outsider in (other, queue):
        with pytest.raises(JobStateError, match="is active"):
            await outsider.retry(seen, "from the page")
    assert await ledger.tracked(job.key) == before
    await queue.finish(held, Status.COMPLETE)
    assert await ledger.status(job.key) == "complete"


async def test_ended_job_can_be_retried_with_all_its_attempts(
    queue: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue, retries=1)
    await queue.finish(await claim(queue), Status.FAILED, error="broken")
    ended = await queue.job(job.key)
    assert ended is not None
    assert ended.error == "broken"
    await queue.retry(ended, "by hand")
    row = await ledger.tracked(job.key)
    assert (row["status"], row["attempts"], row["error"]) == ("queued", 0, None)
    again = await claim(queue)
    assert again.attempts == 0, "SAQ's worker counts this attempt itself"


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.FAILED, Status.ABORTED])
async def test_cancelling_an_ended_job_is_refused_and_changes_nothing(
    queue: PostgresQueue, ledger: Ledger, status: Status
) -> None:
    job = await put(queue)
    await queue.finish(await claim(queue), status, error="as it was")
    before = await ledger.tracked(job.key)
    with pytest.raises(JobStateError):
        await queue.abort(job, "too late")
    assert await ledger.tracked(job.key) == before


async def test_unknown_key_is_said_to_be_unknown(queue: PostgresQueue) -> None:
    nowhere = Job("sleep", key="nowhere", queue=queue)
    with pytest.raises(JobNotFoundError):
        await queue.abort(nowhere, "x")
    with pytest.raises(JobNotFoundError):
        await queue.retry(nowhere, "x")


async def test_jobs_of_another_queue_are_not_seen(
    queue: PostgresQueue, database: str, registry: Registry
) -> None:
    mail = PostgresQueue(database, registry, name="mail")
    await mail.connect()
    try:
        job = await put(mail, key="same")
        here = await put(queue, key="same", delay=60)
        assert here.key != job.key, "a key is one queue's own"
        assert await mail.enqueue("sleep", seconds=0, key="same") is None
        assert await mail.job("same") == job
        assert await queue.job(job.key) is None
        assert await queue.jobs([job.key]) == [None]
        assert (await queue.stats()).queued == 0
        assert await queue.dequeue(timeout=0.3) is None
    finally:
        await mail.disconnect()


async def test_progress_and_meta_of_a_running_job_are_kept(queue: PostgresQueue) -> None:
    job = await put(queue)
    held = await claim(queue)
    await held.update(progress=0.4)
    await held.update(meta={"step": "two"})
    seen = await queue.job(job.key)
    assert seen is not None
    assert seen.progress == pytest.approx(0.4)
    assert seen.meta == {"step": "two"}
    assert seen.status is Status.ACTIVE
    await queue.finish(held, Status.COMPLETE, result=[1, 2])
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.status, seen.result, seen.progress) == (Status.COMPLETE, [1, 2], 1.0)


async def test_page_and_counts_are_bounded_and_show_failed_jobs_too(queue: PostgresQueue) -> None:
    for _ in range(3):
        await put(queue)
    await queue.finish(await claim(queue), Status.FAILED, error="x")
    await asyncio.gather(*(put(queue) for _ in range(120)))
    await put(queue, delay=60)
    info = await queue.info(jobs=True)
    assert len(info["jobs"]) == 51
    assert {job["status"] for job in info["jobs"]} == {"queued", "failed"}
    assert all(isinstance(job["kwargs"], str) for job in info["jobs"]), "never an object: XSS"
    stats = await queue.stats()
    assert (stats.queued, stats.scheduled, stats.failed) == (122, 1, 1)
    assert stats.oldest_due_seconds >= 0


async def test_history_is_listed_in_pages_newest_first(queue: PostgresQueue) -> None:
    jobs = [await put(queue) for _ in range(5)]
    first = await queue.list_records(limit=2)
    second = await queue.list_records(limit=10, before=first[-1].id)
    assert [record.key for record in first + second] == [job.key for job in reversed(jobs)]
    assert await queue.list_records(JobFilter(status="failed")) == []
    assert len(await queue.list_records(JobFilter(task="sleep", status="queued"))) == 5


async def test_expired_jobs_are_pruned_and_their_history_stays(
    queue: PostgresQueue, ledger: Ledger
) -> None:
    done, kept = await put(queue), await put(queue)
    await queue.finish(await claim(queue), Status.COMPLETE)
    await queue.pool.execute("UPDATE saq_jobs SET expire_at = 1 WHERE status = 'complete'")
    await queue.sweep()
    assert await queue.job(done.key) is None
    assert await queue.job(kept.key) is not None
    assert await ledger.status(done.key) == "complete"


async def test_failed_job_is_kept_two_weeks_however_short_its_ttl(queue: PostgresQueue) -> None:
    await put(queue, ttl=1)
    await queue.finish(await claim(queue), Status.FAILED, error="x")
    kept = await queue.pool.fetchval("SELECT expire_at - extract(epoch FROM now()) FROM saq_jobs")
    assert kept > 13 * 86400


async def test_time_that_no_calendar_has_does_not_spoil_the_history(queue: PostgresQueue) -> None:
    await queue.pool.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, scheduled) VALUES"
        " ('far', '{}', 'default', 'queued', 9223372036854775807),"
        " ('past', '{}', 'default', 'failed', -9223372036854775808)"
    )
    records = await queue.list_records()
    assert [record.scheduled_at.year for record in records] == [1970, 9999]


async def test_row_deleted_by_hand_ends_its_history(queue: PostgresQueue, ledger: Ledger) -> None:
    job = await put(queue)
    await queue.pool.execute("DELETE FROM saq_jobs")
    row = await ledger.tracked(job.key)
    assert (row["status"], row["error"]) == ("aborted", "its row was deleted while it was queued")


async def test_one_job_of_a_group_at_a_time_and_ungrouped_jobs_never_wait_for_it(
    queue: PostgresQueue, other: PostgresQueue
) -> None:
    for _ in range(6):
        await put(queue, group_key="tenant-1")
    free = [await put(queue) for _ in range(4)]
    held = await asyncio.gather(
        *(which.dequeue(timeout=1) for _ in range(3) for which in (queue, other))
    )
    taken = [job for job in held if job is not None]
    assert sum(job.group_key == "tenant-1" for job in taken) == 1
    assert {job.key for job in taken if job.group_key is None} == {job.key for job in free}
    (first,) = [job for job in taken if job.group_key]
    await first.finish(Status.COMPLETE)
    following = await asyncio.gather(queue.dequeue(timeout=2), other.dequeue(timeout=2))
    assert sum(job is not None for job in following) == 1


async def test_many_jobs_are_enqueued_all_or_none(queue: PostgresQueue) -> None:
    answers = await queue.enqueue_many(
        Job("sleep", kwargs={"seconds": 0}, key=f"many-{number}") for number in range(2500)
    )
    assert all(answers)
    assert (await queue.stats()).queued == 2500
    again = [Job("sleep", kwargs={"seconds": 0}, key="many-7"), Job("sleep", kwargs={"seconds": 0})]
    first, second = await queue.enqueue_many(again)
    assert first is None
    assert second is not None
    wrong = [Job("sleep", kwargs={"seconds": 0}), Job("sleep", kwargs={"seconds": "long"})]
    with pytest.raises(InvalidPayloadError):
        await queue.enqueue_many(wrong)
    assert (await queue.stats()).queued == 2501


@pytest.mark.parametrize("delay", [0, 2])
async def test_idle_worker_starts_a_job_at_its_time(
    queue: PostgresQueue, other: PostgresQueue, delay: int
) -> None:
    waiting = asyncio.create_task(other.dequeue())
    await asyncio.sleep(0.5)
    job = await put(queue, delay=delay)
    await asyncio.wait_for(waiting, 5)
    late = await queue.pool.fetchval(
        "SELECT extract(epoch FROM started_at) - greatest(scheduled, $2::float8)"
        " FROM saq_jobs WHERE key = $1",
        job.key,
        job.queued / 1000,
    )
    assert 0 <= late < 0.25, "50 ms on a quiet machine"


async def test_password_is_asked_for_at_every_connect(database: str, registry: Registry) -> None:
    asked = 0

    def password() -> str:
        nonlocal asked
        asked += 1
        return "of the day"

    queue = PostgresQueue(database, registry, password=password)
    await queue.connect()
    try:
        await put(queue)
        assert asked == 1
        await queue.database.expire()
        await put(queue)
        assert asked == 2
    finally:
        await queue.disconnect()


async def test_finish_by_a_process_that_does_not_hold_the_job_is_refused(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    job = await put(queue)
    held = await claim(queue)
    seen = await other.job(job.key)
    assert seen is not None
    await other.finish(seen, Status.COMPLETE, result="not mine to say")
    assert await ledger.status(job.key) == "active"
    seen_here = await queue.job(job.key)
    assert seen_here is not None
    await queue.finish(seen_here, Status.COMPLETE, result="mine")
    assert await ledger.status(job.key) == "complete"
    await queue.finish(held, Status.FAILED, error="twice")
    assert await ledger.status(job.key) == "complete"


async def test_retry_by_hand_leaves_nothing_of_the_last_run(queue: PostgresQueue) -> None:
    job = await put(queue, key="again")
    size = "SELECT octet_length(job) FROM saq_jobs WHERE key = 'again'"
    sizes = set()
    for _ in range(3):
        await queue.finish(await claim(queue), Status.FAILED, result="old", error="old")
        ended = await queue.job(job.key)
        assert ended is not None
        await queue.retry(ended, "by hand")
        sizes.add(await queue.pool.fetchval(size))
    assert len(sizes) == 1, "it does not grow"
    await queue.finish(await claim(queue), Status.COMPLETE)
    seen = await queue.job(job.key)
    assert seen is not None
    assert (seen.result, seen.error, seen.kwargs) == (None, None, job.kwargs)


async def test_worker_that_has_just_started_rescues_no_job_yet(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    await put(queue, key="theirs")
    await claim(queue)
    await queue.consumer.lease.give_up()  # its lease is gone, as after a network outage
    await queue.pool.execute("UPDATE saq_jobs SET status = 'active', owner = $1", queue.owner)
    assert await other.sweep() == []
    assert await ledger.status("theirs") == "active"


async def test_ended_job_with_a_ttl_of_zero_is_kept_for_ever(queue: PostgresQueue) -> None:
    stored = Job("sleep", kwargs={"seconds": 0}, key="kept", ttl=0)
    await queue.enqueue(stored)
    await queue.finish(await claim(queue), Status.COMPLETE)
    await queue.prune()
    assert await queue.job("kept") is not None


async def test_a_job_that_was_read_has_every_field_of_saq(queue: PostgresQueue) -> None:
    """It is made without SAQ's constructor, which would fill in what is left out."""
    job = await queue.job((await put(queue)).key)
    assert {field.name for field in dataclasses.fields(Job)} <= vars(job).keys()


async def test_a_statement_under_way_says_that_the_database_is_away_when_the_queue_gives_up(
    queue: PostgresQueue,
) -> None:
    sleeping = asyncio.create_task(queue.fetch("SELECT pg_sleep(3)"))
    await asyncio.sleep(0.3)
    queue.database.terminate()
    with pytest.raises(UNAVAILABLE):
        await sleeping
