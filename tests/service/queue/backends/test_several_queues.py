"""Several queues: each task has its own, one worker serves them all, and each can be paused."""

import asyncio
import time
from typing import Any

import asyncpg
import pytest
from saq import Job, Status

from service.contract import ServedQueues, read_pools
from service.queue.errors import QueueNotFoundError, WrongQueueError
from service.queue.factory import create_queue
from service.queue.interface import JobQueue
from service.queue.job import JobRecord
from service.queue.tasks.enqueue import build_job
from service.settings import SettingsError
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, active, ended, put
from tests.service.queue.backends.tasks import NOTES, OPEN, several, ticking_elsewhere

SEVERAL = pytest.mark.parametrize("scheme", ["postgresql", "memory", "redis"])
TABLES = pytest.mark.parametrize("scheme", ["postgresql"])


def serve(text: str) -> dict[str, Any]:
    return {"worker_queues": ServedQueues.read(text)}


@pytest.fixture(autouse=True)
def _no_notes() -> None:
    NOTES.clear()


@SEVERAL
async def test_a_job_goes_to_the_queue_of_its_task_and_is_found_without_its_name(
    backend: Backend,
) -> None:
    queue = await backend.connect(several)
    reports = queue.named("reports")
    job = await put(queue, "build", value=1, key="r-1")
    assert job.get_queue() is reports
    assert await queue.enqueue("build", value=1, key="r-1") is None, "its key waits"
    assert [each.name for each in queue.all] == ["default", "mail", "reports"]
    assert [(await each.stats()).queued for each in queue.all] == [0, 0, 1]
    for key in ("r-1", job.key):
        found, record = await queue.job(key), await queue.find_record(key)
        assert found
        assert record
        assert (found.key, record.key, record.queue) == (job.key, job.key, "reports")
    assert await queue.named("mail").job("r-1") is None
    many = await queue.enqueue_many(
        [build_job(several, name, {}) for name in ("send", "write", "build")]
    )
    assert [each.get_queue().name for each in many if each] == ["mail", "default", "reports"]
    assert len(await queue.list_records()) == 4
    assert [each.key for each in await queue.list_records(queue="mail")] == [many[0].key]  # type: ignore[union-attr]

    await queue.abort(many[0], "not wanted")  # type: ignore[arg-type]
    await backend.work(queue)
    done = await ended(queue, job.key)
    assert (done.status, done.result) == (Status.COMPLETE, "reports")
    assert await queue.apply("send", timeout=10) == "mail"
    broken = await ended(queue, (await put(queue, "build", failures=2)).key)
    assert (broken.status, broken.attempts) == (Status.COMPLETE, 3)
    dead = await ended(queue, (await put(queue, "build", failures=9)).key)
    assert dead.status is Status.FAILED
    await queue.retry(dead, "once more")
    assert (await ended(queue, dead.key)).status is Status.FAILED
    assert await queue.named("mail").retry_failed() == 0
    assert await reports.clear(Status.FAILED) == 1


@SEVERAL
async def test_another_queue_than_the_tasks_is_a_choice_as_in_saq(backend: Backend) -> None:
    queue = await backend.connect(several)
    await backend.work(queue)
    mail = queue.named("mail")
    chosen = await mail.enqueue("build")
    assert chosen
    assert (await ended(mail, chosen.key)).result == "mail"
    with pytest.raises(WrongQueueError):
        await mail.enqueue(Job("build", queue=queue.named("reports")))
    with pytest.raises(
        QueueNotFoundError, match="no worker serves a queue 'letters'; there is def"
    ):
        queue.named("letters")


@SEVERAL
async def test_a_later_queue_waits_until_the_earlier_ones_are_empty(backend: Backend) -> None:
    queue = await backend.connect(several, **serve("reports,mail"))
    for name in ("send", "build", "write"):
        await queue.enqueue_many(build_job(several, name, {}) for _ in range(5))
    await backend.work(queue, concurrency=1)
    await until(lambda: len(NOTES) == 10, what="the jobs of both queues have run")
    assert NOTES == ["reports"] * 5 + ["mail"] * 5, "and none of a queue that it does not serve"


@SEVERAL
async def test_queues_with_a_backlog_get_their_shares(backend: Backend) -> None:
    queue = await backend.connect(several, **serve("reports=3,mail=1,default=2"))
    for name in ("send", "build"):
        await queue.enqueue_many(build_job(several, name, {}) for _ in range(100))
    await backend.work(queue, concurrency=2)
    await until(lambda: len(NOTES) >= 100, what="a hundred jobs have run")
    assert NOTES[:100].count("reports") == pytest.approx(75, abs=7), "10 % of three in four"
    await until(lambda: len(NOTES) == 200, what="the rest has run")


async def pause_while_jobs_run(backend: Backend, queue: JobQueue, other: JobQueue) -> None:
    gate = f"pause {time.monotonic_ns()}"
    running = await put(queue, "send", gate=gate)
    await active(queue, running.key)
    mail = other.named("mail")
    await mail.pause()
    await asyncio.sleep(1)
    waiting = await put(other, "send")
    elsewhere = await put(other, "write")
    assert (await ended(queue, elsewhere.key)).result == "default"
    await asyncio.sleep(0.5)
    stats = await mail.stats()
    assert (stats.is_paused, stats.queued, stats.active) == (True, 1, 1)
    OPEN.add(gate)
    assert (await ended(queue, running.key)).result == "mail", "what runs goes on"

    if backend.is_shared:
        later = await backend.connect(several)
        await backend.work(later)
    assert (await ended(queue, (await put(queue, "write")).key)).result == "default"
    assert (await mail.stats()).queued == 1, "a new worker knows it too"
    await mail.resume()
    assert (await ended(queue, waiting.key)).result == "mail"
    assert not (await mail.stats()).is_paused


@SEVERAL
async def test_a_paused_queue_is_not_fetched_from_and_the_others_are(backend: Backend) -> None:
    queue = await backend.connect(several)
    other = await backend.connect(several)
    await backend.work(queue)
    await pause_while_jobs_run(backend, queue, other)


@pytest.mark.parametrize("scheme", ["postgresql", "sqs"])
async def test_the_only_queue_is_paused_and_resumed(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    await queue.pause()
    await asyncio.sleep(1.5)
    job = await put(queue, "echo", value=1)
    await asyncio.sleep(1)
    assert (await queue.stats()).queued == 1
    await queue.resume()
    assert (await ended(queue, job.key)).result == 1


@pytest.mark.parametrize("scheme", ["sqs"])
def test_a_backend_with_one_queue_refuses_others_by_name(backend: Backend) -> None:
    with pytest.raises(SettingsError, match=r"only the queue default; .* name mail, reports"):
        create_queue(backend.settings, several)


@pytest.mark.parametrize("scheme", ["memory"])
def test_a_queue_that_no_pool_serves_is_refused_at_the_start(backend: Backend) -> None:
    pools = read_pools("worker:default;worker-reports:reports")
    with pytest.raises(SettingsError) as raised:
        create_queue(backend.settings.model_copy(update={"worker_pools": pools}), several)
    assert raised.value.problems == [
        "WORKER_POOLS: no worker pool serves the queue 'mail' of the task send; the pools are "
        "worker:default;worker-reports:reports"
    ]
    told = {"worker_pools": read_pools("worker:default,mail,reports"), "worker_pool": "mail"}
    with pytest.raises(SettingsError, match="WORKER_POOL: 'mail' is none of the pools worker:def"):
        create_queue(backend.settings.model_copy(update=told), several)
    told["worker_pool"] = ""
    queue = create_queue(backend.settings.model_copy(update=told), several)
    assert queue.served.names == ("default", "mail", "reports")


@SEVERAL
async def test_a_schedule_ticks_on_the_queue_of_its_task(backend: Backend) -> None:
    queue = await backend.connect(ticking_elsewhere, **serve("default"))
    await backend.work(queue)

    async def ticked() -> bool:
        return bool((await queue.named("reports").stats()).queued)

    await until(ticked, what="a worker of another queue has enqueued a tick")

    async def record_of_the_tick() -> JobRecord | None:
        (schedule,) = await queue.schedule_store.read()
        return await queue.find_record(schedule.last_key) if schedule.last_key else None

    record = await until(record_of_the_tick, what="its schedule names the job")
    assert (record.queue, record.task) == ("reports", "tick_elsewhere")


async def connections(database: str) -> int:
    """How many connections to the database there are, apart from this one."""
    own = await asyncpg.connect(database)
    try:
        count: int = await own.fetchval(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
        )
        return count
    finally:
        await own.close()


@TABLES
async def test_a_worker_of_three_queues_has_as_many_connections_as_one_of_one(
    backend: Backend, database: str
) -> None:
    counts = []
    for served, task in (("default", "write"), ("reports,mail,default", "build")):
        queue = await backend.connect(several, **serve(served))
        worker = await backend.work(queue)
        for job in [await put(queue, task) for _ in range(20)]:
            await ended(queue, job.key)
        await until(queue.consumer.seconds_since_heard, what="it listens")
        counts.append(await connections(database))
        await backend.stop(worker)
        await queue.disconnect()
    assert counts[0] == counts[1]


@TABLES
async def test_a_worker_rescues_the_jobs_of_a_dead_one_in_all_queues(backend: Backend) -> None:
    dead = await backend.connect(several)
    alive = await backend.connect(several, **serve("default"))
    jobs = [await put(dead, task) for task in ("write", "build", "send")]
    held = [await dead.dequeue(timeout=10) for _ in jobs]
    assert {job.key for job in held if job} == {job.key for job in jobs}
    pool = alive.pool  # type: ignore[attr-defined]
    await pool.execute("UPDATE queue_workers SET expires_at = now() - interval '1 s'")
    await alive.sweep()
    await pool.execute("UPDATE queue_workers SET steady_since = '-infinity'")

    async def is_back() -> bool:
        await pool.execute(
            "UPDATE queue_workers SET expires_at = now() - interval '1 s' WHERE id = $1",
            dead.owner,
        )
        await alive.sweep()
        return [(await each.stats()).queued for each in alive.all] == [1, 1, 1]

    await until(is_back, seconds=25, what="all three wait again")


@TABLES
async def test_a_worker_of_another_pool_is_no_other_release(backend: Backend) -> None:
    first = await backend.connect(several)
    await backend.work(first)
    assert not await first.is_superseded("worker:1", after_seconds=0)
    reports = await backend.connect(several, worker_pool="reports", **serve("reports"))
    await backend.work(reports)
    await until(reports.live_workers, what="it has a lease")
    assert not await reports.is_superseded("worker-reports:1", after_seconds=0)
    assert not await first.is_superseded("worker:1", after_seconds=0)
    assert await first.live_workers() == {"": 1, "reports": 1}
    assert [(await each.stats()).workers for each in first.all] == [1, 1, 2]


@TABLES
async def test_a_stock_client_enqueues_into_any_queue_by_its_name(
    backend: Backend, database: str
) -> None:
    queue = await backend.connect(several, **serve("mail"))
    await backend.work(queue)
    stock = queue_of_saq(database, "mail")
    await stock.connect()
    try:
        job = await stock.enqueue("send", key="from outside")
        assert (await ended(queue, "from outside")).result == "mail"
        await job.refresh()
        assert job.status is Status.COMPLETE
    finally:
        await stock.disconnect()


@TABLES
async def test_a_transaction_enqueues_into_several_queues_or_none(backend: Backend) -> None:
    queue = await backend.connect(several)
    pool = queue.pool  # type: ignore[attr-defined]
    async with pool.acquire() as connection:
        undone = connection.transaction()
        await undone.start()
        await queue.enqueue("send", connection=connection)
        await queue.enqueue("write", connection=connection)
        await undone.rollback()
        assert await queue.list_records() == []
        async with connection.transaction():
            await queue.enqueue("send", connection=connection)
    assert (await queue.named("mail").stats()).queued == 1


def queue_of_saq(database: str, name: str) -> Any:
    """SAQ's own client."""
    from psycopg_pool import AsyncConnectionPool
    from saq.queue.postgres import PostgresQueue

    pool = AsyncConnectionPool(database, open=False)
    return PostgresQueue(pool, name=name, manage_pool_lifecycle=True, min_size=1, max_size=2)
