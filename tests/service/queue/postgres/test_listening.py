"""Notifications of new jobs: a worker never misses one, and none is sent in vain."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

import asyncpg
import pytest
from saq import Job, Status

from service.queue.postgres import statements as sql
from service.queue.postgres.listener import Listener
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tasks.registry import Registry
from tests.conftest import until
from tests.faults.proxy import Proxy
from tests.service.conftest import claim, put, rescue

# Less than the time between polls of the worker below, more than a busy machine needs for a
# notification.
NOTIFIED_SECONDS = 10


@pytest.fixture
async def idle(database: str, registry: Registry) -> AsyncIterator[PostgresQueue]:
    """A worker's queue that polls once a minute: a job that starts sooner came by notification."""
    queue = PostgresQueue(database, registry, poll_seconds=60)
    await queue.connect()
    yield queue
    await queue.disconnect()


@pytest.fixture
async def proxy(database: str) -> AsyncIterator[Proxy]:
    """The network between a client and this test's server."""
    folder = parse_qs(urlsplit(database).query)["host"][0]
    proxy = Proxy(f"{folder}/.s.PGSQL.5432")
    await proxy.start()
    yield proxy
    await proxy.stop()


async def _wait_for_a_job(queue: PostgresQueue) -> "asyncio.Task[object]":
    """A slot of a worker that has found no job and waits for a notification."""
    waiting = asyncio.create_task(queue.dequeue())

    async def is_waiting() -> bool:
        found: bool | None = await queue.pool.fetchval(
            "SELECT is_waiting FROM queue_workers WHERE id = $1", queue.owner
        )
        return found is True

    await until(is_waiting, what="the worker waits")
    await asyncio.sleep(0.2)  # it claims once more, for a job that was enqueued just then
    assert not waiting.done()
    return waiting


async def test_idle_worker_is_notified_of_each_new_job(
    queue: PostgresQueue, idle: PostgresQueue
) -> None:
    for _ in range(3):
        waiting = await _wait_for_a_job(idle)
        job = await put(queue)
        assert await asyncio.wait_for(waiting, NOTIFIED_SECONDS) == job
        await idle.finish(job, Status.COMPLETE)


async def test_a_worker_on_a_host_with_a_long_name_is_notified_too(
    queue: PostgresQueue, database: str, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "ip-10-0-123-123.ap-northeast-1.compute.internal"  # as Fargate calls its tasks
    monkeypatch.setattr("socket.gethostname", lambda: name)
    far = PostgresQueue(database, registry, poll_seconds=60)
    await far.connect()
    waiting = await _wait_for_a_job(far)
    job = await put(queue)
    assert await asyncio.wait_for(waiting, NOTIFIED_SECONDS) == job
    await far.disconnect()


async def test_idle_worker_is_notified_of_a_job_that_is_retried_by_hand(
    queue: PostgresQueue, idle: PostgresQueue
) -> None:
    job = await put(queue)
    await queue.finish(await claim(queue), Status.FAILED, error="x")
    waiting = await _wait_for_a_job(idle)
    await queue.retry(job, "by hand")
    assert await asyncio.wait_for(waiting, NOTIFIED_SECONDS) == job


async def test_idle_worker_is_notified_of_the_jobs_of_a_dead_one(
    queue: PostgresQueue, other: PostgresQueue, idle: PostgresQueue
) -> None:
    await put(queue)
    held = await claim(other)
    waiting = await _wait_for_a_job(idle)
    await rescue(held, by=queue)
    assert await asyncio.wait_for(waiting, NOTIFIED_SECONDS) == held


async def test_idle_worker_is_notified_of_a_job_that_another_hands_back(
    queue: PostgresQueue, other: PostgresQueue, idle: PostgresQueue
) -> None:
    await put(queue)
    held = await claim(other)
    waiting = await _wait_for_a_job(idle)
    await other.hand_back([held])
    assert await asyncio.wait_for(waiting, NOTIFIED_SECONDS) == held


async def test_busy_workers_are_only_notified_of_a_callers_transaction(
    queue: PostgresQueue, other: PostgresQueue, database: str
) -> None:
    heard: list[object] = []
    for _ in range(5):
        await put(queue)
    for _ in range(2):
        await claim(other)  # and it knows that there is more
    connection = await asyncpg.connect(database)
    try:
        await connection.add_listener(queue.channel, lambda *message: heard.append(message[-1]))
        await put(queue)
        # messages come in the order of their commits, so there was none before this one
        await queue.pool.execute("SELECT pg_notify($1, 'last')", queue.channel)
        await until(lambda: heard, what="the last message")
        assert heard == ["last"]
        # a worker may begin to wait before the caller commits
        async with connection.transaction():
            await queue.enqueue("sleep", seconds=0, connection=connection)
        await until(lambda: heard == ["last", "saq:enqueue"], what="the message of the commit")
    finally:
        await connection.close()


@pytest.mark.parametrize("fault", ["half-open", "reset"])
async def test_listener_notices_that_its_connection_is_dead_and_hears_again(
    database: str, proxy: Proxy, fault: str
) -> None:
    heard: list[str] = []
    dsn = f"postgresql://postgres@127.0.0.1:{proxy.port}{urlsplit(database).path}"

    def on_message(payload: str) -> None:
        heard.append(payload)
        if len(heard) == 1:  # it listens, and is about to make sure of that
            if fault == "half-open":
                proxy.freeze()
            else:
                proxy.reset()

    async def connect() -> asyncpg.Connection:
        connection: asyncpg.Connection = await asyncpg.connect(dsn, timeout=5)
        return connection

    listener = Listener(connect, lambda: ["channel"], on_message)
    listener.start()
    speaker = await asyncpg.connect(database)
    try:
        # "" stands for messages that it may have missed
        await until(lambda: heard == ["", ""], seconds=25, what="it listens again")
        await speaker.execute("NOTIFY channel, 'hello'")
        await until(lambda: heard[-1] == "hello", what="it hears")
    finally:
        await listener.stop()
        await speaker.close()


async def test_listener_that_hears_does_not_reconnect_and_its_pings_wake_nobody(
    database: str,
) -> None:
    heard: list[str] = []
    connections: list[asyncpg.Connection] = []

    async def connect() -> asyncpg.Connection:
        connections.append(await asyncpg.connect(database))
        return connections[-1]

    listener = Listener(connect, lambda: ["channel"], heard.append)
    listener.start()
    try:
        await until(lambda: listener.heard_at, what="its first ping has come back")
        assert (heard, len(connections)) == ([""], 1)
    finally:
        await listener.stop()
    assert connections[0].is_closed()


async def _add_workers(db: asyncpg.Connection, count: int, *, queues: list[str] | None) -> None:
    """Rows of workers that wait for a job."""
    await db.executemany(
        "INSERT INTO queue_workers (id, queue, expires_at, is_waiting, queues)"
        " VALUES ($1, 'default', now() + interval '1 hour', TRUE, $2)",
        [(f"w{number}", queues) for number in range(count)],
    )


async def _heard(database: str, channels: list[str], action: Callable[[], Any]) -> list[str]:
    """The channels on which the action has notified."""
    heard: list[str] = []
    connection = await asyncpg.connect(database)
    try:
        for channel in (*channels, "end"):
            await connection.add_listener(channel, lambda *message: heard.append(message[2]))
        await action()
        await connection.execute('NOTIFY "end"')
        await until(lambda: "end" in heard, what="the last notification")
    finally:
        await connection.close()
    return heard[:-1]


@pytest.mark.parametrize(("jobs", "woken"), [(1, 2), (3, 4), (20, 6)])
async def test_an_enqueue_wakes_one_worker_more_than_there_are_jobs(
    queue: PostgresQueue, db: asyncpg.Connection, database: str, jobs: int, woken: int
) -> None:
    await _add_workers(db, 6, queues=["default", "mail"])
    channels = [f"moorage:w{number}" for number in range(6)]

    async def enqueue() -> None:
        await queue.enqueue_many([Job("sleep", kwargs={"seconds": 0}) for _ in range(jobs)])

    heard = await _heard(database, [*channels, queue.channel], enqueue)
    assert len(heard) == len(set(heard)) == woken
    assert {*heard} <= {*channels}


async def test_workers_of_the_first_release_hear_on_the_channel_of_their_queue(
    queue: PostgresQueue, db: asyncpg.Connection, database: str
) -> None:
    await _add_workers(db, 3, queues=None)
    heard = await _heard(database, [queue.channel, "moorage:w0"], lambda: put(queue))
    assert {*heard} == {queue.channel}


async def test_a_notification_is_never_passed_on_to_the_worker_that_had_it(
    queue: PostgresQueue, db: asyncpg.Connection, database: str
) -> None:
    await _add_workers(db, 2, queues=["default", "mail"])

    async def pass_on() -> None:
        for _ in range(10):
            await db.execute("UPDATE queue_workers SET is_waiting = TRUE")
            await queue.fetch(sql.WAKE_ANOTHER, "w0", ["default"])

    heard = await _heard(database, ["moorage:w0", "moorage:w1"], pass_on)
    assert heard == ["moorage:w1"] * 10
    assert await db.fetchval("SELECT is_waiting FROM queue_workers WHERE id = 'w0'") is False


async def test_a_worker_without_a_free_slot_passes_a_notification_on(
    queue: PostgresQueue, other: PostgresQueue, idle: PostgresQueue, db: asyncpg.Connection
) -> None:
    held = await put(queue)
    assert await claim(other) == held
    waiting = await _wait_for_a_job(idle)
    await db.execute("UPDATE queue_workers SET is_waiting = TRUE WHERE id = $1", other.owner)
    await other.notify_workers("saq:enqueue")  # what all hear, nobody passes on
    await asyncio.sleep(0.5)
    flag = "SELECT is_waiting FROM queue_workers WHERE id = $1"
    assert await db.fetchval(flag, other.owner) is True
    await db.execute(
        "INSERT INTO saq_jobs (key, job, queue, status) VALUES ('next', $1, 'default', 'queued')",
        b'{"function":"sleep","key":"next","queue":"default"}',
    )
    await db.execute("SELECT pg_notify($1, $2)", f"moorage:{other.owner}", sql.WAKE)
    job = await asyncio.wait_for(waiting, NOTIFIED_SECONDS)
    assert isinstance(job, Job)
    assert job.key == "next"
    assert await db.fetchval(flag, other.owner) is False
