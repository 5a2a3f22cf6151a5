"""Why a job waits, each reason caused by what causes it."""

import asyncio

import asyncpg
import pytest

from service.queue.interface import JobQueue
from service.queue.waiting import Waiting
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, active, put
from tests.service.queue.backends.tasks import OPEN, several

POSTGRES = pytest.mark.parametrize("scheme", ["postgresql"])


async def waiting(queue: JobQueue, key: str) -> Waiting | None:
    record = await queue.find_record(key)
    assert record
    return await queue.why_waiting(record)


async def why(queue: JobQueue, key: str) -> str:
    found = await waiting(queue, key)
    assert found
    return f"{found.code}: {found.message}"


async def until_it_waits(queue: JobQueue, key: str, reason: str) -> None:
    async def says() -> bool:
        found = await waiting(queue, key)
        return found is not None and f"{found.code}: {found.message}".startswith(reason)

    await until(says, what=f"{key} waits: {reason}")


@pytest.fixture(autouse=True)
def _closed() -> None:
    OPEN.clear()


async def test_a_job_waits_for_its_time_for_its_queue_and_for_a_worker(backend: Backend) -> None:
    queue = await backend.connect()
    later = await put(queue, "echo", delay=3600)
    due = await put(queue, "echo")
    record = await queue.find_record(later.key)
    assert record
    at = f"{record.scheduled_at:%Y-%m-%d %H:%M:%S} UTC"
    assert await why(queue, later.key) == (
        f"not_due: It is due at {at}. To run it sooner, cancel it and enqueue it again."
    )
    assert (await why(queue, due.key)).startswith("no_worker: No live worker serves the queue defa")
    await queue.pause()
    found = await why(queue, due.key)
    assert found.startswith("paused: The queue default is paused")
    assert found.endswith("`moor queues resume default` goes on.")
    assert (await why(queue, later.key)).startswith("not_due: "), (
        "what keeps it longest comes first"
    )
    await queue.resume()
    await queue.abort(due, "not wanted")
    assert await waiting(queue, due.key) is None


async def test_a_job_waits_for_a_free_slot(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue, concurrency=1)
    running = await put(queue, "wait_to_be_opened", gate="g")
    await active(queue, running.key)
    assert await waiting(queue, running.key) is None
    for number in range(3):
        await put(queue, "echo", key=f"w{number}")
    await until_it_waits(queue, "w2", "busy: Every slot of the workers is busy, and ")
    await queue.abort(running, "enough")


@POSTGRES
async def test_a_job_says_how_many_are_before_it(backend: Backend, database: str) -> None:
    queue = await backend.connect()
    await put(queue, "echo", key="urgent")
    await put(queue, "echo", key="first")
    db = await asyncpg.connect(database)
    await db.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, task, created_at)"
        " SELECT 'many' || n, '{}', 'default', 'queued', 'echo', now()"
        " FROM generate_series(1, 1000) n"
    )
    await put(queue, "echo", key="last")
    await db.execute("UPDATE saq_jobs SET priority = 5 WHERE key <> 'urgent'")
    await db.execute("UPDATE saq_jobs SET scheduled = background_job_id")
    await db.execute(
        "INSERT INTO queue_workers (id, queue, expires_at) VALUES ('w', 'default', now() + '1 h')"
    )
    assert "busy, and no jobs of its queue are before it." in await why(queue, "urgent")
    assert "busy, and one job of its queue is before it." in await why(queue, "first")
    assert "busy, and 1,000+ jobs of its queue are before it." in await why(queue, "last")
    await db.execute("UPDATE queue_workers SET is_waiting = TRUE")
    assert await why(queue, "first") == (
        "next: A worker waits for jobs of default, and fetches it as soon as it has a free slot; "
        "one job of its queue is before it."
    )
    await db.execute("UPDATE queue_workers SET expires_at = now() - interval '1 s'")
    assert (await why(queue, "first")).startswith("no_worker")
    await db.execute(
        "UPDATE queue_workers SET expires_at = now() + interval '1 h', queues = '{mail}'"
    )
    assert (await why(queue, "first")).startswith("no_worker"), "it serves another queue"
    await db.close()


@POSTGRES
async def test_a_job_waits_for_another_one_of_its_group(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue, concurrency=1)
    await put(queue, "wait_to_be_opened", gate="g", key="one", group_key="shop-7")
    await active(queue, "one")
    for key in ("two", "three"):
        await put(queue, "wait_to_be_opened", gate="g", key=key, group_key="shop-7", priority=5)
    await put(queue, "wait_to_be_opened", gate="h", key="other")
    found = await waiting(queue, "three")
    assert found
    assert (found.code, found.job_id) == ("group_running", "one")
    assert "`moor jobs show one`" in found.message
    assert (await why(queue, "other")).startswith("busy")
    OPEN.add("g")  # "other", which is more urgent, takes the slot
    await active(queue, "other")
    await until_it_waits(queue, "three", "group_before: The job two of its group is before it")
    assert (await why(queue, "two")).startswith(("busy: ", "next: "))
    OPEN.add("h")


@POSTGRES
async def test_a_job_waits_for_its_next_attempt(backend: Backend) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    await put(queue, "fail", key="again", retry_delay=60)
    await until_it_waits(queue, "again", "not_due: Attempt 2 is due at ")


@POSTGRES
async def test_a_job_waits_for_a_release_that_knows_its_task(backend: Backend) -> None:
    queue, worker = await backend.connect(), await backend.connect(several)
    await backend.work(worker)
    await put(queue, "echo", key="new")
    await until_it_waits(
        queue, "new", "unknown_task: The workers that have fetched it do not know its task echo."
    )


@POSTGRES
async def test_a_job_that_was_fetched_meanwhile_does_not_wait(backend: Backend) -> None:
    queue = await backend.connect()
    job = await put(queue, "wait_to_be_opened", gate="g")
    record = await queue.find_record(job.key)
    assert record
    await backend.work(queue)
    await active(queue, job.key)
    assert await queue.why_waiting(record) is None
    OPEN.add("g")
    await asyncio.sleep(0)
