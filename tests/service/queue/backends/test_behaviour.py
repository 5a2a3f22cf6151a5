"""What each of the four backends has to do, or to refuse with a clear error."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from saq import Job, Status

from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    UnknownTaskError,
)
from service.queue.tasks.enqueue import JobOptions, build_job
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, active, ended, put
from tests.service.queue.backends.tasks import NOTES, OPEN, registry, ticking


@pytest.mark.parametrize("task", ["echo", "echo_in_thread"])
async def test_a_job_runs_and_its_result_is_kept(backend: Backend, task: str) -> None:
    queue = await backend.connect()
    value = {"text": "hé", "list": [1, None, 2.5]}
    job = await put(queue, task, value=value)
    waiting = await queue.find_record(job.key)
    assert waiting
    assert (waiting.status, waiting.task, waiting.attempts) == ("queued", task, 0)
    await backend.work(queue)
    done = await ended(queue, job.key)
    assert (done.status, done.result, done.attempts) == (Status.COMPLETE, value, 1)
    record = await queue.find_record(job.key)
    assert record
    assert (record.status, record.attempts, record.error) == ("complete", 1, None)
    assert record.worker_id == queue.owner
    assert record.started_at is not None
    assert record.finished_at is not None
    assert record.created_at <= record.started_at <= record.finished_at


async def test_many_jobs_each_run_once(backend: Backend) -> None:
    queue = await backend.connect()
    jobs = await queue.enqueue_many(Job("count_from", kwargs={"number": n}) for n in range(30))
    await backend.work(queue, concurrency=5)
    results = [(await ended(queue, job.key)).result for job in jobs if job]
    assert results == list(range(1, 31))
    await until(lambda: queue.complete == 30)


async def test_a_failed_attempt_is_repeated_after_its_delay(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    began = time.monotonic()
    job = await put(queue, "fail", times=2)
    done = await ended(queue, job.key)
    assert (done.status, done.result, done.attempts) == (Status.COMPLETE, "worked at last", 3)
    assert time.monotonic() - began >= 0.6
    await until(lambda: queue.retried == 2)


async def test_what_fails_for_good_stays_and_can_be_sent_again(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "fail", times=2, retries=2, retry_delay=0)
    dead = await ended(queue, job.key)
    assert (dead.status, dead.attempts, dead.kwargs) == (Status.FAILED, 2, {"times": 2})
    assert "ValueError: broken in attempt 2" in str(dead.error)
    record = await queue.find_record(job.key)
    assert record
    assert record.status == "failed"
    assert "broken in attempt 2" in str(record.error)
    assert [each.key for each in await queue.list_records(status="failed")] == [job.key]
    assert (await queue.stats()).failed == 1

    await queue.retry(dead, "sent again")
    again = await ended(queue, job.key)
    assert (again.status, again.attempts) == (Status.FAILED, 2)  # all its attempts anew
    record = await queue.find_record(job.key)
    assert record
    assert record.attempts == 2


async def test_failed_jobs_are_sent_again_and_cleared_together(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    jobs = [await put(queue, "fail", times=2, retries=1) for _ in range(3)]
    for job in jobs:
        await ended(queue, job.key)
    assert await queue.retry_failed(task="sleep") == 0
    assert await queue.retry_failed(task="fail") == 3
    for job in jobs:
        assert (await ended(queue, job.key)).status is Status.FAILED
    assert await queue.clear(Status.FAILED, task="sleep") == 0
    assert await queue.clear(Status.FAILED, task="fail") == 3
    assert await queue.jobs([job.key for job in jobs]) == [None, None, None]
    assert len(await queue.list_records(status="failed")) == 3, "the history stays"
    assert await queue.retry_failed() == 0


async def test_a_task_may_say_that_another_attempt_is_of_no_use(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "give_up")
    failed = await ended(queue, job.key)
    assert (failed.status, failed.attempts, failed.retries) == (Status.FAILED, 1, 3)
    assert "no such address" in str(failed.error)


async def test_a_result_that_is_no_json_fails_the_job(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "return_unstorable")
    failed = await ended(queue, job.key)
    assert failed.status is Status.FAILED
    assert "cannot be stored as JSON" in str(failed.error)


async def test_a_job_over_its_timeout_is_stopped(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "sleep", seconds=60, timeout=1)
    failed = await ended(queue, job.key)
    assert failed.status is Status.FAILED
    assert "took longer than its timeout of 1 s" in str(failed.error)


@pytest.mark.parametrize("delay", [None, 60])
async def test_a_waiting_job_is_cancelled_at_once(backend: Backend, delay: float | None) -> None:
    queue = await backend.connect()
    job = await put(queue, "echo", delay=delay)
    await queue.abort(job, "not wanted")
    cancelled = await queue.job(job.key)
    assert cancelled
    assert (cancelled.status, cancelled.error) == (Status.ABORTED, "not wanted")
    record = await queue.find_record(job.key)
    assert record
    assert (record.status, record.error) == ("aborted", "not wanted")
    await backend.work(queue)
    after = await put(queue, "echo", value=1)
    await ended(queue, after.key)
    assert (await queue.find_record(job.key)) == record  # it did not run
    with pytest.raises(JobStateError, match="aborted"):
        await queue.abort(cancelled, "again")


async def test_a_running_job_is_cancelled_from_another_process(backend: Backend) -> None:
    queue, other = await backend.connect(), await backend.connect()
    await backend.work(queue)
    job = await put(other, "sleep", seconds=60)
    await active(other, job.key)
    await other.abort(job, "not wanted any more")
    assert job.status is Status.ABORTING
    cancelled = await ended(other, job.key)
    assert (cancelled.status, cancelled.error) == (Status.ABORTED, "not wanted any more")
    record = await other.find_record(job.key)
    assert record
    assert (record.status, record.error) == ("aborted", "not wanted any more")


async def test_a_running_plain_function_sees_that_it_is_cancelled(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "wait_to_be_cancelled")
    await active(queue, job.key)
    await queue.abort(job, "enough")
    done = await ended(queue, job.key)
    assert (done.status, done.result) in [(Status.COMPLETE, True), (Status.ABORTED, None)]


async def test_a_key_waits_or_runs_once(backend: Backend) -> None:
    queue, other = await backend.connect(), await backend.connect()
    OPEN.clear()
    first = await put(queue, "wait_to_be_opened", gate="one", key="one")
    assert await other.enqueue("wait_to_be_opened", gate="one", key="one") is None
    await backend.work(queue)
    await active(queue, "one")
    assert await other.enqueue("wait_to_be_opened", gate="one", key="one") is None
    OPEN.add("one")
    before = await ended(queue, first.key)
    second = await put(other, "echo", value=2, key="one")

    async def is_second() -> bool:
        job = await other.job(second.key)
        return bool(job and job.result == 2)

    assert before.result == "open"
    await until(is_second)
    assert [each.task for each in await other.list_records()] == ["echo", "wait_to_be_opened"]


async def test_a_job_that_comes_as_its_slot_gives_up_is_for_the_next(backend: Backend) -> None:
    queue = await backend.connect()
    first, second = await put(queue, "echo"), await put(queue, "echo")
    taken: list[str] = []
    waiting = asyncio.create_task(queue.dequeue())

    def slot(job: Job | None) -> bool:
        waiting.cancel()  # in the turn in which it gets its own
        taken.extend([job.key] if job else [])
        return True

    await asyncio.sleep(0)
    queue.consumer.wait(slot)
    await asyncio.wait([waiting], timeout=20)
    assert waiting.cancelled()
    await until(lambda: taken)
    again = await queue.dequeue(timeout=20)
    assert again
    assert {again.key, *taken} == {first.key, second.key}


async def test_a_delayed_job_is_not_early_and_hardly_late(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    began = time.time()
    by_delay = await put(queue, "echo", delay=4)
    at = datetime.now(UTC) + timedelta(seconds=4)
    by_time = await put(queue, "echo", run_at=at)
    assert (await queue.stats()).scheduled == 2
    for key, due in ((by_delay.key, began + 4), (by_time.key, at.timestamp())):
        await ended(queue, key)
        record = await queue.find_record(key)
        assert record
        assert record.started_at is not None
        started = record.started_at.timestamp()
        assert due - 0.05 <= started < due + 8


async def test_a_job_far_ahead_waits_and_can_be_found(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    at = datetime.now(UTC).replace(microsecond=0) + timedelta(days=400)
    job = build_job(registry, "echo", {}, JobOptions(run_at=at))
    assert await queue.enqueue(job)
    record = await queue.find_record(job.key)
    assert record
    assert (record.status, record.scheduled_at) == ("queued", at)
    await queue.abort(job, "not in a year either")
    assert (await ended(queue, job.key)).status is Status.ABORTED


async def test_lower_priority_numbers_run_first(backend: Backend) -> None:
    queue = await backend.connect()
    if "priority" in queue.lacks:
        with pytest.raises(InvalidOptionError, match=f"priority: {backend.scheme}://"):
            await queue.enqueue("echo", priority=5)
        assert await queue.list_records() == []
        return
    NOTES.clear()
    jobs = [await put(queue, "note", value=number, priority=number) for number in (7, 3, 5)]
    await backend.work(queue, concurrency=1)
    for job in jobs:
        await ended(queue, job.key)
    assert NOTES == [3, 5, 7]


async def test_one_job_of_a_group_runs_at_a_time(backend: Backend) -> None:
    queue = await backend.connect()
    if "group_key" in queue.lacks:
        with pytest.raises(InvalidOptionError, match=f"group_key: {backend.scheme}://"):
            await queue.enqueue("echo", group_key="g")
        assert await queue.list_records() == []
        return
    jobs = [await put(queue, "sleep", seconds=0.2, group_key="g") for _ in range(3)]
    await backend.work(queue)
    spans = []
    for job in jobs:
        await ended(queue, job.key)
        record = await queue.find_record(job.key)
        assert record
        assert record.started_at is not None
        assert record.finished_at is not None
        spans.append((record.started_at, record.finished_at))
    spans.sort()
    assert all(first[1] <= second[0] for first, second in pairwise(spans))


async def test_progress_is_seen_by_another_process(backend: Backend) -> None:
    queue, other = await backend.connect(), await backend.connect()
    await backend.work(queue)
    job = await put(queue, "report")

    async def has_reported() -> bool:
        found = await other.job(job.key)
        return bool(found and found.progress == 0.4 and found.meta.get("message") == "under way")

    await until(has_reported)
    await other.abort(job, "seen")
    await ended(other, job.key)


async def test_a_drained_job_is_queued_again_at_no_cost(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue, drain_seconds=3)
    long = await put(queue, "sleep", seconds=60)
    short = await put(queue, "sleep", seconds=0.3)
    await active(queue, long.key)
    await until(lambda: queue.jobs_started == 2, what="both have started")
    began = time.monotonic()
    await backend.stop(worker)
    assert time.monotonic() - began < 10
    finished, interrupted = await queue.job(short.key), await queue.job(long.key)
    assert finished
    assert finished.status is Status.COMPLETE
    assert interrupted
    assert (interrupted.status, interrupted.attempts) == (Status.QUEUED, 0)
    record = await queue.find_record(long.key)
    assert record
    assert record.status == "queued"
    next_queue = await backend.connect()
    await next_queue.connect()
    await backend.work(next_queue)
    again = await active(next_queue, long.key)
    assert again.attempts == 1
    await next_queue.abort(again, "proved")
    await ended(next_queue, long.key)


async def test_an_idle_worker_stops_soon(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue)
    began = time.monotonic()
    await backend.stop(worker)
    assert time.monotonic() - began < 5


async def test_a_tick_comes_once_whoever_works(backend: Backend) -> None:
    for _ in range(2 if backend.is_shared else 1):
        await backend.work(await backend.connect(ticking))
    queue = backend.queues[0]

    async def has_come_three_times() -> bool:
        return len(await queue.list_records(task="tick", status="complete")) >= 3

    await until(has_come_three_times, seconds=30)
    keys = [record.key for record in await queue.list_records(task="tick")]
    assert len(keys) == len(set(keys))
    (schedule,) = await queue.schedule_store.read("tick")
    assert schedule.is_declared
    assert schedule.last_key in keys


async def test_what_is_wrong_is_refused_by_its_field(backend: Backend) -> None:
    queue = await backend.connect()
    with pytest.raises(InvalidPayloadError, match=r"payload.*seconds") as wrong:
        await queue.enqueue("sleep", seconds="long")
    assert wrong.value.field == "payload.seconds"
    with pytest.raises(InvalidPayloadError, match="payload"):
        await queue.enqueue("sleep", seconds=1, colour="red")
    with pytest.raises(UnknownTaskError):
        await queue.enqueue("no_such_task")
    with pytest.raises(InvalidOptionError, match="delay"):
        await queue.enqueue("echo", delay=-1)
    with pytest.raises(UnknownTaskError):
        await queue.enqueue_many([Job("echo"), Job("no_such_task")])
    assert await queue.list_records() == []
    assert (await queue.stats()).queued == 0


async def test_jobs_are_listed_in_pages_and_by_task(backend: Backend) -> None:
    queue = await backend.connect()
    jobs = [await put(queue, "echo", value=number) for number in range(5)]
    other = await put(queue, "fail")
    first = await queue.list_records(task="echo", limit=3)
    assert [each.key for each in first] == [job.key for job in reversed(jobs)][:3]
    second = await queue.list_records(task="echo", before=first[-1].id)
    assert [each.key for each in second] == [jobs[1].key, jobs[0].key]
    assert [each.key for each in await queue.list_records(task="fail")] == [other.key]
    assert await queue.list_records(status="complete") == []
    assert len([job async for job in queue.iter_jobs([Status.QUEUED])]) == 6
    assert (await queue.stats()).queued == 6
    assert await queue.find_record("nobody") is None
    assert await queue.job("nobody") is None
    with pytest.raises((JobNotFoundError, JobStateError)):
        await queue.retry(Job("echo", key="nobody", queue=queue), "?")
    with pytest.raises(JobStateError, match="queued"):
        await queue.retry(jobs[0], "it has not ended")


async def test_the_job_page_shows_payloads_as_text(backend: Backend) -> None:
    queue = await backend.connect()
    await put(queue, "echo", value={"props": {"innerHTML": "x"}})
    info = await queue.info(jobs=True)
    assert info["queued"] == 1
    (shown,) = info["jobs"]
    assert isinstance(shown["kwargs"], str)


async def test_runs_are_counted_for_each_minute(backend: Backend) -> None:
    queue = await backend.connect()
    assert await queue.read_runs(1) == []
    await queue.note_runs(3, 1, 0)
    await queue.note_runs(2, 0, 4)
    found = await queue.read_runs(1)
    counts = [(each.complete, each.failed, each.retried) for each in found]
    assert counts in ([(5, 1, 4)], [(3, 1, 0), (2, 0, 4)]), "the minute may have changed"
    assert await queue.read_runs(0) == []
