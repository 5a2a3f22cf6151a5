"""What users of SAQ expect of a queue that has a worker: waiting for results, and batches.

Once with our worker, once with SAQ's own on the same queue.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from saq import CronJob, Job, Status
from saq.queue import JobError
from saq.worker import Worker as SaqWorker

from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from service.queue.worker.context import Context
from service.queue.worker.invoke import functions
from service.queue.worker.worker import Worker
from tests.conftest import until

QUICK: dict[str, Any] = {"timeout": 20, "poll_interval": 0.02}


@pytest.fixture
def registry() -> Registry:
    """Tasks that need nothing but a worker."""
    registry = Registry()

    @registry.task(retries=1, retry_delay=0)
    async def echo(ctx: Context, *, a: int = 0) -> int:
        await ctx.job.update(progress=0.5, meta={"echoed": a})
        return a

    @registry.task(retries=2, retry_delay=0)
    async def error(ctx: Context) -> None:
        raise ValueError("oops")

    @registry.task(retries=1)
    async def nap(ctx: Context) -> None:
        await asyncio.sleep(60)

    return registry


@pytest.fixture(params=["our worker", "SAQ's worker"])
async def worker(
    request: pytest.FixtureRequest, database: str, registry: Registry
) -> AsyncIterator[SaqWorker[Any]]:
    """A running worker in a queue of its own, as another process has it."""
    queue = PostgresQueue(database, registry, poll_seconds=1)
    worker: SaqWorker[Any]
    if request.param == "our worker":
        worker = Worker(queue, registry, concurrency=4, drain_seconds=0.1)
    else:
        worker = SaqWorker(queue, functions(registry), concurrency=4)
    await queue.connect()
    running = asyncio.create_task(worker.start())
    yield worker
    await worker.stop()
    await running
    await queue.disconnect()


async def test_apply_returns_the_result_or_raises_what_became_of_the_job(
    queue: PostgresQueue, worker: SaqWorker[Any]
) -> None:
    assert await queue.apply("echo", a=1, **QUICK) == 1
    assert await queue.apply("echo", poll_interval=0.02) == 0, "waits without a limit"
    with pytest.raises(JobError, match="oops") as caught:
        await queue.apply("error", **QUICK)
    assert caught.value.job.status is Status.FAILED
    assert caught.value.job.attempts == 2


async def test_map_returns_the_results_in_the_order_of_the_calls(
    queue: PostgresQueue, worker: SaqWorker[Any]
) -> None:
    assert await queue.map("echo", [], **QUICK) == []
    assert await queue.map("echo", [{"a": number} for number in range(30)], **QUICK) == [*range(30)]
    assert await queue.map("echo", [{}, {"a": 2}], a=3, **QUICK) == [3, 2]
    with pytest.raises(JobError):
        await queue.map("error", [{}, {}], **QUICK)
    results = await queue.map("error", [{}, {}], return_exceptions=True, **QUICK)
    assert [type(result) for result in results] == [JobError, JobError]


async def test_map_takes_the_result_of_a_job_of_the_same_key_that_waits_already(
    queue: PostgresQueue, worker: SaqWorker[Any]
) -> None:
    await queue.enqueue("echo", a=3, key="there", delay=1)
    assert await queue.map("echo", [{"a": 1, "key": "there"}], **QUICK) == [3]


async def test_running_job_reports_and_waiting_caller_sees_its_end(
    queue: PostgresQueue, worker: SaqWorker[Any]
) -> None:
    job = await queue.enqueue("echo", a=7)
    assert job is not None
    await job.refresh(until_complete=20)
    assert (job.status, job.result, job.meta) == (Status.COMPLETE, 7, {"echoed": 7})
    assert (job.attempts, job.progress, job.error) == (1, 1.0, None)
    assert job.worker_id == worker.id


async def test_running_job_is_aborted_and_its_slot_is_free(
    queue: PostgresQueue, worker: SaqWorker[Any]
) -> None:
    job = await queue.enqueue("nap")
    assert job is not None
    job_key, seen = job.key, []

    def on_status(key: str, status: Status) -> bool:
        assert key == job_key
        if status not in seen:
            seen.append(status)
        return status is Status.ACTIVE

    await queue.listen([job.key], on_status, timeout=20, poll_interval=0.01)
    await job.abort("not needed")
    await job.refresh(until_complete=20)
    assert (job.status, job.error) == (Status.ABORTED, "not needed")
    assert await queue.apply("echo", a=1, **QUICK) == 1


async def test_listen_calls_plain_and_async_callbacks_until_one_is_satisfied(
    queue: PostgresQueue,
) -> None:
    jobs = [await queue.enqueue("echo") for _ in range(2)]
    keys = [job.key for job in jobs if job] + ["unknown"]
    heard: list[tuple[str, Status]] = []

    async def on_status(key: str, status: Status) -> bool:
        heard.append((key, status))
        return len(heard) == 4

    await queue.listen(keys, on_status, timeout=20, poll_interval=0.01)
    assert heard == [(key, Status.QUEUED) for key in keys[:2]] * 2
    with pytest.raises(TimeoutError):
        await queue.listen(keys, lambda *_: False, timeout=0.1, poll_interval=0.01)


@pytest.mark.parametrize("seconds", [0.2, 1])
async def test_waiting_for_a_result_ends_with_its_timeout(
    queue: PostgresQueue, seconds: float
) -> None:
    with pytest.raises(TimeoutError):
        await queue.apply("echo", timeout=seconds, poll_interval=0.02)
    with pytest.raises(TimeoutError):
        await queue.map("echo", [{}, {}], timeout=seconds, poll_interval=0.02)


async def test_batch_that_fails_aborts_the_jobs_that_were_enqueued_in_it(
    queue: PostgresQueue,
) -> None:
    before = await queue.enqueue("echo")
    jobs: list[Job | None] = []

    async def fail_in_the_middle() -> None:
        async with queue.batch():
            jobs.append(await queue.enqueue("echo", a=1))
            jobs.extend(await queue.enqueue_many([Job("echo"), Job("echo")]))
            raise ValueError("in the middle")

    with pytest.raises(ValueError, match="in the middle"):
        await fail_in_the_middle()
    assert len(jobs) == 3
    after = await queue.enqueue("echo")
    for job in jobs:
        assert job is not None
        await job.refresh()
        assert (job.status, job.error) == (Status.ABORTED, "cancelled")
    for job in (before, after):
        assert job is not None
        await job.refresh()
        assert job.status is Status.QUEUED


async def test_batch_that_succeeds_leaves_its_jobs_alone(queue: PostgresQueue) -> None:
    async with queue.batch():
        await queue.enqueue("echo")
    assert await queue.count("queued") == 1


async def test_callbacks_before_an_enqueue_see_each_job_until_they_are_unregistered(
    queue: PostgresQueue,
) -> None:
    seen: list[Job] = []

    async def note(job: Job) -> None:
        job.meta["noted"] = True
        seen.append(job)

    queue.register_before_enqueue(note)
    single = await queue.enqueue("echo")
    many = await queue.enqueue_many([Job("echo"), Job("echo")])
    queue.unregister_before_enqueue(note)
    await queue.enqueue("echo")
    assert seen == [single, *many]
    stored = await queue.job(seen[0].key)
    assert stored is not None
    assert stored.meta == {"noted": True}


async def test_cron_jobs_of_saqs_own_worker_tick_once_a_time_and_run(
    queue: PostgresQueue,
) -> None:
    async def echo(ctx: object, *, a: int) -> int:
        return a

    echo.__qualname__ = "echo"  # SAQ enqueues a cron job under its function's name
    every_second = CronJob(echo, cron="* * * * * *", kwargs={"a": 5})
    workers = [
        SaqWorker(queue, [], cron_jobs=[every_second], dequeue_timeout=0.5) for _ in range(2)
    ]
    for worker in workers:
        await worker.schedule()
    assert await queue.count("incomplete") == 1

    async def has_run() -> bool:
        await workers[0].process()
        job = await queue.job("cron:echo")
        return job is not None and (job.status, job.result) == (Status.COMPLETE, 5)

    await until(has_run, what="the tick has run")
    await workers[1].schedule()
    assert await queue.count("incomplete") == 1, "and the next one waits"
