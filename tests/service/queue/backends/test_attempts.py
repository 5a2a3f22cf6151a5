"""What is told of a job besides its last attempt: those before, their causes, its relatives."""

import asyncpg
import pytest

from service.queue.attempts import Attempt
from service.queue.interface import JobQueue
from service.queue.job_filter import JobFilter
from tests.service.queue.backends.conftest import Backend, active, ended, put


async def attempts(queue: JobQueue, key: str) -> list[Attempt]:
    record = await queue.find_record(key)
    assert record
    return await queue.attempts(record)


async def test_a_job_that_fails_tells_of_every_attempt(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue)
    job = await put(queue, "fail", times=2)
    await ended(queue, job.key)
    found = await attempts(queue, job.key)
    assert [(each.attempt, each.outcome) for each in found] == [
        (1, "failed"), (2, "failed"), (3, "complete"),
    ]  # fmt: skip
    for number, each in enumerate(found[:2], start=1):
        assert each.error
        assert each.error.strip().endswith(f"ValueError: broken in attempt {number}")
    assert found[2].error is None
    moments = [moment for each in found for moment in (each.started_at, each.ended_at)]
    assert None not in moments
    assert moments == sorted(moments)  # type: ignore[type-var] # none is None
    assert {each.worker_id for each in found} == {worker.id}


async def test_a_job_that_is_run_again_tells_of_how_it_ended_before(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "give_up")
    job = await ended(queue, job.key)
    assert [each.outcome for each in await attempts(queue, job.key)] == ["failed"]
    await queue.retry(job, "again")
    job = await ended(queue, job.key)
    found = await attempts(queue, job.key)
    assert [(each.attempt, each.outcome) for each in found] == [(1, "failed"), (1, "failed")]
    assert all("no such address" in str(each.error) for each in found)
    assert found[0].started_at != found[1].started_at


async def test_what_a_stop_has_interrupted_is_told_and_costs_no_attempt(backend: Backend) -> None:
    queue = await backend.connect()
    worker = await backend.work(queue, drain_seconds=0.1)
    job = await put(queue, "sleep", seconds=30)
    await active(queue, job.key)
    (runs,) = await attempts(queue, job.key)
    assert (runs.attempt, runs.outcome, runs.ended_at) == (1, "running", None)
    await backend.stop(worker)
    (found,) = await attempts(queue, job.key)
    assert (found.attempt, found.outcome, found.error) == (
        1, "handed back", "interrupted by a shutdown",
    )  # fmt: skip
    assert found.worker_id == worker.id


async def test_failed_jobs_are_grouped_by_cause(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    jobs = [await put(queue, "fail") for _ in range(2)] + [await put(queue, "give_up")]
    for job in jobs:
        await ended(queue, job.key)
    found = await queue.causes()
    assert (found.looked_at, found.is_whole) == (3, True)
    assert [(each.jobs, each.task, each.status) for each in found.items] == [
        (2, "fail", "failed"), (1, "give_up", "failed"),
    ]  # fmt: skip
    assert found.items[0].cause == "ValueError: broken in attempt …"
    assert found.items[1].cause.endswith("NoRetryError: no such address")
    only = await queue.causes(task="give_up")
    assert only.items == found.items[1:]
    page = await queue.search_records(JobFilter(task="fail", error=found.items[0].text))
    assert len(page.records) == 2


@pytest.mark.parametrize(("task", "count"), [("spread", 52), ("spread_in_thread", 1)])
async def test_a_job_knows_the_jobs_that_it_has_enqueued(
    backend: Backend, task: str, count: int
) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    other = await put(queue, "echo")
    parent = await put(queue, task, **({"count": count} if count > 1 else {}))
    await ended(queue, parent.key)
    await put(queue, "echo")
    record = await queue.find_record(parent.key)
    assert record
    found = await queue.relatives(record)
    assert (found.parent, found.has_more) == (None, count > 50)
    assert len(found.children) == min(count, 50)
    assert {each.task for each in found.children} <= {"echo", "note"}
    for each in found.children[:2]:
        assert (await queue.relatives(each)).parent == parent.key
    record = await queue.find_record(other.key)
    assert record
    alone = await queue.relatives(record)
    assert (alone.parent, alone.children) == (None, [])


@pytest.mark.parametrize("scheme", ["postgresql", "redis", "sqs"])
async def test_nothing_is_written_for_a_job_that_succeeds_at_once(
    backend: Backend, db: asyncpg.Connection
) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await put(queue, "echo")
    await ended(queue, job.key)
    assert [each.outcome for each in await attempts(queue, job.key)] == ["complete"]
    assert await db.fetchval("SELECT count(*) FROM job_attempts") == 0
    assert await db.fetchval("SELECT count(*) FROM job_children") == 0
