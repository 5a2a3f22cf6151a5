"""What SAQ documents of a running job and of its workers, on every backend."""

import asyncio
import json
import threading
import time
from typing import Any

import pytest
from litestar_saq import monitored_job
from saq import Status
from saq.queue.http import HttpProxy, HttpQueue
from saq.types import Context as SaqContext
from saq.worker import Worker as SaqWorker

from service.queue.errors import JobStateError, NoRetryError
from service.queue.interface import JobQueue
from service.queue.tasks.registry import Registry
from service.queue.worker.context import Context
from service.queue.worker.invoke import functions
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, active, ended, put

registry = Registry()
HEARTBEAT = 1  # seconds
BEATS = 6  # of 0.25 s each: more than the heartbeat


@registry.task(heartbeat=HEARTBEAT, retries=1)
async def beat_by_update(ctx: Context) -> None:
    for _ in range(BEATS):
        await asyncio.sleep(0.25)
        await ctx.job.update()


@registry.task(heartbeat=HEARTBEAT, retries=1)
async def beat_by_progress(ctx: Context) -> None:
    for step in range(BEATS):
        await asyncio.sleep(0.25)
        await ctx.progress(step)


@registry.task(heartbeat=HEARTBEAT, retries=1)
def beat_in_thread(ctx: Context) -> None:
    for _ in range(BEATS):
        time.sleep(0.25)
        asyncio.run(ctx.job.update())


@registry.task(heartbeat=HEARTBEAT, retries=1)
@monitored_job(interval=0.25)
async def beat_by_decorator(ctx: SaqContext, /) -> None:
    await asyncio.sleep(0.25 * BEATS)


@registry.task(heartbeat=HEARTBEAT, retries=1)
async def be_silent(ctx: Context) -> None:
    await asyncio.sleep(60)


@registry.task(retries=1)
async def take_notes(ctx: Context) -> None:
    ctx.job.meta["step"] = 1
    await ctx.job.update()
    ctx.job.meta["later"] = True
    await asyncio.sleep(60)


@registry.task(retries=3, retry_delay=0)
async def give_up(ctx: Context) -> None:
    raise NoRetryError("no such address")


@registry.task(retries=2, retry_delay=60)
async def fail(ctx: Context) -> None:
    raise ValueError("broken")


@registry.task
async def double(ctx: Context, *, number: int) -> int:
    return 2 * number


@registry.task
def ask_from_thread(ctx: Context) -> dict[str, Any]:
    """All calls of the queue that a plain function may make, in an event loop of its own."""
    queue: JobQueue = ctx["queue"] if "queue" in ctx else ctx["worker"].queue

    async def ask() -> dict[str, Any]:
        await ctx.job.refresh()
        again = await queue.enqueue("double", number=21, delay=60)
        assert again is not None
        await again.abort("not needed")
        await again.refresh()
        listed = [job.key async for job in queue.iter_jobs([Status.ABORTED])]
        return {
            "status": ctx.job.status.value,
            "active": await queue.count("active"),
            "aborted": again.status.value,
            "listed": listed == [again.key],
            "result": await queue.apply("double", number=4, timeout=20, poll_interval=0.05),
            "thread": threading.current_thread() is threading.main_thread(),
        }

    return asyncio.run(ask())


LIVELY = ("beat_by_update", "beat_by_progress", "beat_in_thread", "beat_by_decorator")


async def run_saq_worker(queue: JobQueue, **options: Any) -> tuple[SaqWorker[Any], Any]:
    worker = SaqWorker(queue, functions(queue.registry), concurrency=8, **options)
    worker.SIGNALS = []
    return worker, asyncio.create_task(worker.start())


@pytest.mark.parametrize("kind", ["our worker", "SAQ's worker"])
async def test_running_job_lives_says_so_and_asks(backend: Backend, kind: str) -> None:
    queue = await backend.connect(registry)
    jobs = {name: await put(queue, name) for name in (*LIVELY, "be_silent")}
    asking, giving_up = await put(queue, "ask_from_thread"), await put(queue, "give_up")
    if kind == "our worker":
        await backend.work(queue, concurrency=8)
    else:
        worker, running = await run_saq_worker(queue)
    began = await active(queue, jobs["beat_by_update"].key)
    assert began.started > 0
    assert began.attempts == 1

    async def has_moved() -> bool:
        job = await queue.job(began.key)
        return job is not None and job.touched >= began.touched + 500 and not job.stuck

    await until(has_moved, what="touched moves")
    for name in LIVELY:
        done = await ended(queue, jobs[name].key)
        assert (done.status, done.error) == (Status.COMPLETE, None), name
    dead = await ended(queue, jobs["be_silent"].key)
    assert dead.status is Status.FAILED
    assert f"reported no progress for its heartbeat of {HEARTBEAT} s" in str(dead.error)
    asked = await ended(queue, asking.key)
    assert asked.error is None
    active_jobs = asked.result.pop("active")
    assert active_jobs >= 1
    assert asked.result == {
        "status": "active", "aborted": "aborted", "listed": True, "result": 8, "thread": False,
    }  # fmt: skip
    failed = await ended(queue, giving_up.key)
    assert (failed.status, failed.attempts, failed.retries) == (Status.FAILED, 1, 3)
    if kind == "SAQ's worker":
        await worker.stop()
        await running


async def test_meta_is_stored_and_a_retry_begins_anew(backend: Backend) -> None:
    queue, other = await backend.connect(registry), await backend.connect(registry)
    await backend.work(queue)
    noting = await put(queue, "take_notes")

    async def has_noted() -> bool:
        job = await other.job(noting.key)
        return job is not None and job.meta.get("step") == 1

    await until(has_noted)
    assert await other.get_job_status(noting.key) is Status.ACTIVE
    assert await other.get_job_status("nobody") is None
    await other.abort(noting, "seen")
    assert (await ended(other, noting.key)).meta["step"] == 1

    failing = await put(queue, "fail")

    async def waits_again() -> bool:
        job = await other.job(failing.key)
        return job is not None and job.status is Status.QUEUED and job.attempts == 1

    await until(waits_again)
    waiting = await other.job(failing.key)
    assert waiting is not None
    assert (waiting.started, waiting.progress, waiting.completed) == (0, 0, 0)
    assert "broken" in str(waiting.error)
    stats = await other.stats()
    assert (stats.queued, stats.scheduled) == (0, 1)
    for job in (failing, waiting):  # the first one does not know of the retry
        await job.update(meta={"noted": True})
        assert await other.stats() == stats
    assert await other.count("incomplete") == 1
    stored = await other.job(failing.key)
    assert stored is not None
    assert stored.meta["noted"] is True
    if backend.scheme != "redis":  # SAQ's own there changes the blob alone
        await stored.update(scheduled=int(time.time()))
        # SQS hides a message for 30 s that came before its job was due
        assert "broken" in str((await ended(other, failing.key, seconds=60)).error)


class Loopback(HttpQueue):
    """SAQ's client of its HTTP proxy, without the network between the two."""

    def __init__(self, proxy: HttpProxy) -> None:
        super().__init__("http://nowhere", name=proxy.queue.name)
        self._proxy = proxy

    async def connect(self) -> None:
        self._loop = asyncio.get_running_loop()

    async def _send(self, kind: str, **kwargs: Any) -> str:
        return await self._proxy.process(json.dumps({"kind": kind, **kwargs})) or ""


async def test_saq_worker_behind_its_http_proxy_runs_our_jobs(backend: Backend) -> None:
    queue = await backend.connect(registry)
    remote = Loopback(HttpProxy(queue))
    await remote.connect()
    worker = SaqWorker(remote, functions(registry), concurrency=3, dequeue_timeout=0.5)
    worker.timers["sweep"] = 1
    worker.SIGNALS = []
    done, failing = await put(queue, "double", number=3), await put(queue, "fail", retry_delay=0)
    running = asyncio.create_task(worker.start())
    assert (await ended(queue, done.key)).result == 6
    failed = await ended(queue, failing.key)
    assert (failed.status, failed.attempts) == (Status.FAILED, 2)
    if backend.scheme == "memory":  # takes its time
        silent = await put(queue, "be_silent")
        seen = await active(queue, silent.key)
        with pytest.raises(JobStateError):
            await seen.retry("by somebody who only looks")
        swept = await ended(queue, silent.key)
        assert (swept.status, swept.error) == (Status.ABORTED, "swept")
    await worker.stop()
    await running


async def test_late_end_of_a_run_that_was_swept_changes_nothing(backend: Backend) -> None:
    queue = await backend.connect(registry)
    remote = Loopback(HttpProxy(queue))
    await remote.connect()
    job = await put(queue, "double", number=1, heartbeat=1, retries=2, retry_delay=0)
    first = await remote.dequeue(timeout=10)
    assert first is not None
    first.attempts, first.started, first.worker_id = 1, int(time.time() * 1000), "dead"
    await first.update(status=Status.ACTIVE)
    assert (await active(queue, job.key)).worker_id in ("dead", queue.owner)
    await asyncio.sleep(1.1)
    assert await remote.sweep(abort=0.1) == [job.key]
    second = await remote.dequeue(timeout=10)
    assert second is not None
    assert (second.key, second.attempts) == (job.key, 1)
    second.attempts, second.worker_id = 2, "alive"
    await second.update(status=Status.ACTIVE)
    await first.finish(Status.COMPLETE, result="late")
    assert await queue.get_job_status(job.key) is Status.ACTIVE
    await second.finish(Status.COMPLETE, result="right")
    assert (await ended(queue, job.key)).result == "right"


async def test_job_of_another_release_waits_for_its_worker(backend: Backend) -> None:
    older = Registry()
    older.task(registry.get("give_up").function)
    changed = Registry()

    @changed.task(name="double")
    async def double_text(ctx: Context, *, text: str) -> str:
        return 2 * text

    newer = await backend.connect(registry)
    for number, release in enumerate((older, changed), start=1):
        newer.registry = registry
        job = await put(newer, "double", number=1)
        queue = await backend.connect(release)
        queue.registry = release  # in memory it is the same queue
        await SaqWorker(queue, functions(release), dequeue_timeout=20).process()
        waiting = await newer.job(job.key)
        assert waiting is not None
        assert (waiting.status, waiting.attempts) == (Status.QUEUED, 0)
        assert (await newer.stats()).scheduled == number


async def test_burst_worker_runs_all_jobs_however_slow_it_connects(
    backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = await backend.connect(registry)
    jobs = [await put(queue, "double", number=number) for number in range(25)]
    _, running = await run_saq_worker(queue, burst=True, dequeue_timeout=0.01)
    await asyncio.wait_for(running, 30)
    for number, job in enumerate(jobs):
        assert (await ended(queue, job.key)).result == 2 * number
