"""What SAQ documents of a job's fields, on every backend."""

from typing import Any

import pytest
from saq import CronJob, Job, Status
from saq.worker import Worker as SaqWorker

from service.queue.errors import WrongQueueError
from service.queue.interface import JobQueue
from service.queue.tasks.registry import Registry
from service.queue.worker.context import Context
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, ended, put
from tests.service.queue.backends.tasks import registry

NUMBERS = [
    ("ttl", -1), ("ttl", 0), ("timeout", 0), ("timeout", None), ("timeout", 5.5), ("retries", 0),
    ("heartbeat", 0), ("heartbeat", None), ("retry_delay", 0),
]  # fmt: skip
KEEP_SECONDS = 14 * 86400


async def until_ended(queue: JobQueue, key: str) -> Job | None:
    """The job once its history says that it has ended; None where it is not kept."""

    async def has_ended() -> bool:
        record = await queue.find_record(key)
        return record is not None and record.finished_at is not None

    await until(has_ended, what=f"{key} has ended")
    return await queue.job(key)


async def until_gone(queue: JobQueue, key: str) -> None:
    """It is not kept; its history is."""

    async def is_gone() -> bool:
        return await queue.job(key) is None

    await until(is_gone, seconds=10, what=f"{key} is gone")


async def seconds_left(backend: Backend, job: Job) -> float | None:
    """How long the backend keeps the ended job from now on; None for ever."""
    queue: Any = backend.queues[0]
    if backend.scheme == "memory":
        expires_at = queue.rows[job.key].expires_at
        return None if expires_at is None else float(expires_at) - job.queued / 1000
    if backend.scheme == "redis":
        left = await queue.redis.ttl(job.id)
        return None if left == -1 else float(left)
    statement = "SELECT expire_at - extract(epoch FROM now())::float8 FROM saq_jobs WHERE key = $1"
    left = await queue.pool.fetchval(statement, job.key)
    return None if left is None else float(left)


async def test_numbers_of_a_job_mean_what_they_mean_to_saq(backend: Backend) -> None:
    queue = await backend.connect()
    good: list[tuple[Job, str, Any]] = []
    for option, value in NUMBERS:
        given: dict[str, Any] = {option: value}
        for job in (await put(queue, "echo", **given), await queue.enqueue(Job("echo", **given))):
            assert job is not None
            stored = await queue.job(job.key)
            assert stored is not None
            assert getattr(stored, option) == getattr(job, option) == value
            good.append((job, option, value))
    bad = {ttl: await put(queue, "fail", retries=0, ttl=ttl) for ttl in (0, 5, 10**7, -1)}
    await backend.work(queue)
    for job, option, value in good:
        done = await until_ended(queue, job.key)
        if (option, value) == ("ttl", -1):
            await until_gone(queue, job.key)
        else:
            assert done is not None
            assert (done.status, done.attempts) == (Status.COMPLETE, 1), (option, value)
    for ttl, job in bad.items():
        failed = await until_ended(queue, job.key)
        if ttl == -1:
            await until_gone(queue, job.key)
        else:
            assert failed is not None
            left = await seconds_left(backend, job)
            assert (left is None) == (ttl == 0), "0: for ever"
            assert left is None or abs(left - max(ttl, KEEP_SECONDS)) < 60
    assert await seconds_left(backend, good[2][0]) is None, "ttl=0: for ever"


@pytest.mark.parametrize("scheme", ["memory"])
async def test_cron_job_of_saq_has_its_numbers(backend: Backend) -> None:
    async def echo(ctx: object) -> None: ...

    echo.__qualname__ = "echo"  # SAQ enqueues a cron job under its function's name
    queue = await backend.connect()
    cron = CronJob(echo, "* * * * *", timeout=0, heartbeat=0, retries=0, ttl=-1)
    worker = SaqWorker(queue, [], cron_jobs=[cron])
    await worker.schedule()
    job = await queue.job("cron:echo")
    assert job is not None
    assert (job.timeout, job.heartbeat, job.retries, job.ttl) == (0, 0, 0, -1)


async def test_job_of_another_queue_is_a_value_error(backend: Backend) -> None:
    queue = await backend.connect()
    job = await put(queue, "echo")
    job.queue = type(queue).__new__(type(queue))
    job.queue.name = "another"
    with pytest.raises(ValueError, match="queue: the job belongs to the queue 'another'") as caught:
        await queue.enqueue(job)
    assert isinstance(caught.value, WrongQueueError)


async def test_uptime_is_that_of_this_process(backend: Backend) -> None:
    queue = await backend.connect()
    info = await queue.worker_info("me", queue_key=queue.name)
    assert info["stats"] is not None
    assert 0 <= info["stats"]["uptime"] < 60_000, "milliseconds, as SAQ's page takes it"
    shown = (await queue.info())["workers"]["me"]["stats"]
    assert shown == info["stats"]


async def test_saq_s_page_gets_no_password_and_the_job_keeps_it(backend: Backend) -> None:
    queue = await backend.connect()
    login = {"user": "ada", "password": "hunter2"}
    job = await put(queue, "echo", value=login)
    (row,) = (await queue.info(jobs=True))["jobs"]
    assert row["kwargs"] == str({"value": {"user": "ada", "password": "[hidden]"}})
    found = await queue.job(job.key)
    assert found is not None
    assert found.kwargs == {"value": login}


@pytest.mark.parametrize("scheme", ["memory"])
async def test_hook_before_a_job_may_change_what_is_run(backend: Backend) -> None:
    hooked = Registry()
    hooked.task(registry.get("echo").function)
    hooked.task(timeout=60)(registry.get("sleep").function)

    @hooked.before_process
    async def change(ctx: Context) -> None:
        job = ctx.job
        assert job.kwargs is not None
        kind = job.kwargs.pop("value", None)
        if kind == "in place":
            job.kwargs["value"] = "changed"
        elif kind == "replaced":
            job.kwargs = {"value": "changed"}
        elif kind == "other task":
            job.function, job.kwargs, job.timeout = "sleep", {"seconds": 30}, 1
        elif kind == "wrong":
            job.kwargs = {"no such field": 1}

    queue = await backend.connect(hooked)
    await backend.work(queue)
    for kind in ("in place", "replaced"):
        assert (await ended(queue, (await put(queue, "echo", value=kind)).key)).result == "changed"
    for kind, reason in (("other task", "its timeout of 1 s"), ("wrong", "no such field")):
        failed = await ended(queue, (await put(queue, "echo", value=kind, retries=1)).key)
        assert failed.status is Status.FAILED
        assert reason in str(failed.error)
