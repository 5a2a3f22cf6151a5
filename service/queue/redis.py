"""`redis://`: SAQ's RedisQueue with holders, recovery and history; `redis_scripts.py` has its Lua.

SAQ keeps a job as one JSON blob, in a list of what waits and a list of what runs. Beside these
stands who runs it, so that the end of a run that was taken over is refused.
"""

import asyncio
import contextlib
import os
import secrets
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import asyncpg
import msgspec
import structlog
from asyncpg.pool import PoolConnectionProxy
from redis.exceptions import RedisError
from saq import Job, Status
from saq.job import TERMINAL_STATUSES
from saq.queue.redis import RedisQueue as SaqRedisQueue
from saq.types import QueueInfo
from saq.utils import now

from service import contract
from service.db import UNAVAILABLE, Password, backoff, create_pool
from service.queue import job as rows
from service.queue import redis_scripts as lua
from service.queue import statements as sql
from service.queue.base import BULK_JOBS, Connection, TableQueue
from service.queue.dispatch import check_job, requested_job
from service.queue.errors import InvalidOptionError, JobNotFoundError, JobStateError
from service.queue.history import History
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.puller import Puller
from service.queue.reading import PAGE_ROWS, QueueStats
from service.queue.recurring import Table
from service.queue.redis_client import CLIENT, KEEP_SECONDS, LEASE_SECONDS, Beat, Client
from service.queue.registry import Registry
from service.queue.ticker import Ticker
from service.settings import Settings

TAKE_SECONDS = 0.5  # a worker that stops waits for it
UNHELD_SECONDS = 12.0  # between being taken from the list and being held; it takes milliseconds
ABORT_SECONDS = 24 * 3600  # how long a request to stop waits for the worker
CRASHES = "crashes"  # in a job's meta
FAILED = """
SELECT (SELECT count(*) FROM (SELECT FROM background_jobs WHERE is_bad AND status = 'failed'
        AND queue = $1 AND finished_at > now() - make_interval(secs => $2) LIMIT $3) AS bad)
           AS failed,
       (SELECT count(*) FROM queue_workers
        WHERE queue = $1 AND expires_at > clock_timestamp()) AS workers
"""
KNOWN = "SELECT key FROM background_jobs WHERE queue = $1 AND key = ANY ($2::text[])"

log = structlog.stdlib.get_logger("queue")


class RedisQueue(TableQueue, SaqRedisQueue):
    """SAQ's queue on Redis; history and schedules are in the application's database.

    A job is taken over from a worker that has been dead for twelve seconds, and costs no attempt.
    """

    scheme = "redis"
    lacks = MappingProxyType(
        {
            "priority": "has no priorities: jobs run as they come; postgresql:// has them",
            "group_key": "has no groups; postgresql:// has them",
        }
    )
    consumer: Puller
    ticker: Ticker
    redis: Any  # its own stubs say of each answer that it may not be awaitable

    def __init__(
        self,
        url: str,
        registry: Registry,
        *,
        database: str,
        name: str = contract.QUEUE_NAME,
        pool_size: int = 4,
        password: Password | None = None,
        concurrency: int | None = None,
    ) -> None:
        SaqRedisQueue.__init__(
            self, Client.from_url(url, **CLIENT), name, msgspec.json.encode, msgspec.json.decode
        )
        self.registry = registry
        self.concurrency = concurrency
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.channel = f"saq:{name}"
        self.consumer = Puller(
            self, take=self._take, stopped=self._stopped, keep=self._keep, keep_seconds=KEEP_SECONDS
        )
        self.ticker = Ticker(self)
        self.recurring = Table(self)
        self.started = self.dead_letters = 0
        self._url = url
        self._database = database
        self._password = password
        self._pool_size = pool_size
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._history = History(self)
        self._holders = self.namespace("holders")
        self._leases = self.namespace("leases")
        self._changes = self.namespace("changes")
        self._beat: Beat | None = None
        self._unheld: dict[bytes, float] = {}  # ids in the list of what runs that nobody holds
        self._news: bytes | None = None
        self._hold = self.redis.register_script(lua.HOLD)
        self._settled = self.redis.register_script(lua.SETTLE)
        self._aborted = self.redis.register_script(lua.ABORT)
        self._again = self.redis.register_script(lua.AGAIN)
        self._touch = self.redis.register_script(lua.TOUCH)

    def __repr__(self) -> str:
        return f"RedisQueue(name={self.name!r})"  # SAQ's shows how the client connects

    @property
    def pool(self) -> asyncpg.Pool:
        if self._pool is None:
            raise RuntimeError("the queue is not connected: await queue.connect() first")
        return self._pool

    async def connect(self) -> None:
        """Make the pool; both sides are connected when they are first needed."""
        async with self._connecting:
            if self._pool is None:
                self._pool = await create_pool(
                    self._database,
                    name=f"moorage history {self.name}",
                    max_size=self._pool_size,
                    statement_timeout_seconds=5.0,
                    password=self._password,
                )
                self.consumer.resume()
                await super().connect()

    async def disconnect(self) -> None:
        await self.consumer.stop()
        if self._beat:
            await asyncio.to_thread(self._beat.stop)
            self._beat = None
        if self._pool is not None:
            with contextlib.suppress(*UNAVAILABLE):
                async with asyncio.timeout(2.0):
                    await self.fetch(sql.LEAVE, self.owner, self.name)
            self._pool.terminate()
            self._pool = None
        with contextlib.suppress(RedisError, *UNAVAILABLE):
            await super().disconnect()

    async def ping(self) -> None:
        await self.redis.execute_command("PING")

    async def fetch(
        self, statement: str, *arguments: Any, connection: Connection | None = None
    ) -> list[asyncpg.Record]:
        found: list[asyncpg.Record] = await (connection or self.pool).fetch(statement, *arguments)
        return found

    @contextlib.asynccontextmanager
    async def _transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        async with self.pool.acquire(timeout=10) as own, own.transaction():
            yield own

    def transaction(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        return self._transaction()

    async def tell(self, message: str) -> None:
        await self.redis.incr(self._changes)

    async def enqueue(  # type: ignore[override] # positional-only: any name may be a payload field
        self, job_or_func: str | Job, /, **kwargs: Any
    ) -> Job | None:
        """Put a job in the queue; None where one with its key already waits or runs.

        Raises `UnknownTaskError`, `InvalidPayloadError` or `InvalidOptionError`, and then nothing
        was enqueued.
        """
        self.refuse_connection(kwargs.get("connection"))
        job = requested_job(self.registry, job_or_func, kwargs)
        self.check_able(job)
        return await self._put(job)

    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """Each job by itself: where Redis goes away in the middle, the first are enqueued."""
        self.refuse_connection(connection)
        checked = [check_job(self.registry, job) for job in jobs]
        for job in checked:
            self.check_able(job)
        return [await self._put(job) for job in checked]

    async def enqueue_ticks(self, jobs: list[Job], connection: Connection) -> list[Job | None]:
        """A tick whose job has a history was enqueued by a worker that died before it moved on."""
        found = await self.fetch(KNOWN, self.name, [job.key for job in jobs], connection=connection)
        known = {row["key"] for row in found}
        return [None if job.key in known else await self._put(job) for job in jobs]

    async def _put(self, job: Job) -> Job | None:
        if job.queue is not None and job.queue.name != self.name:
            raise InvalidOptionError("queue", f"the job belongs to the queue {job.queue.name!r}")
        job.queue, job.queued, job.status = self, now(), Status.QUEUED
        if job.scheduled <= time.time():
            job.scheduled = 0  # SAQ would wait for its next look at what is delayed
        await self._before_enqueue(job)
        if await self.redis.zscore(self._incomplete, job.id) is not None:
            return None
        # First: a worker may start the job before this returns.
        history = await self._history.begin(job)
        try:
            put = await SaqRedisQueue._enqueue(self, job)
        except BaseException:
            await self._history.forget(history)
            raise
        if put is None:
            await self._history.forget(history)
            return None
        log.info("enqueued", job_key=job.key, task=job.function)
        return job

    async def _take(self, room: int) -> list[LeasedJob]:
        await self._until_alive()
        await SaqRedisQueue.schedule(self)
        found = await self.redis.blmove(self._queued, self._active, TAKE_SECONDS, "LEFT", "RIGHT")
        ids = []
        while found is not None:
            ids.append(found)
            if len(ids) == room:
                break
            found = await self.redis.lmove(self._queued, self._active, "LEFT", "RIGHT")
        return [job for job in [await self._start(job_id) for job_id in ids] if job]

    async def _start(self, job_id: bytes) -> LeasedJob | None:
        lease, blob = await self._hold(
            keys=[self._holders, self._leases, job_id], args=[job_id, self.owner]
        )
        try:
            job = self._read_job(blob)
        except MalformedJobError as error:
            await self._bury(job_id, int(lease), f"malformed job: {error}")
            return None
        job.lease, job.claimed_at = int(lease), asyncio.get_running_loop().time()
        job.attempts += 1
        job.status, job.started, job.worker_id, job.progress = Status.ACTIVE, now(), self.owner, 0.0
        job.touched = job.started
        await self._write_held(job)
        await self._history.note(job)
        return job

    async def _bury(self, job_id: bytes, lease: int, error: str) -> None:
        """End what no job can be read from, so that it shows and stops nobody."""
        self.dead_letters += 1
        key = self.job_key_from_id(job_id.decode(errors="replace"))
        job = rows.stand_in(key, lease)
        job.queue, job.status, job.error, job.worker_id = self, Status.FAILED, error, self.owner
        job.completed = now()
        log.error("malformed job", job_key=key, reason=error)
        if await self._history.is_missing(key):
            await self._history.begin(job)
        await self._write_end(job, f"{self.owner}|{lease}")
        await self._history.note(job)

    def _read_job(self, blob: bytes | None) -> LeasedJob:
        """Raises `MalformedJobError`."""
        try:
            fields = msgspec.json.decode(blob or b"")
            msgspec.convert(fields, rows.StoredJob)
            if fields.pop("queue") != self.name:
                raise MalformedJobError("its blob names another queue")
            job = LeasedJob(**fields, queue=self)
            job.crashes = int(job.meta.get(CRASHES, 0))
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise MalformedJobError(f"{type(error).__name__}: {error}"[:500]) from None
        return job

    async def _until_alive(self) -> None:
        if self._beat is None:
            self._beat = Beat(self._url, self._alive_key(self.owner))
            self._beat.start()
        self._beat.turn()
        for _ in range(10):
            if self._beat.is_fresh():
                return
            await asyncio.sleep(0.1)
        raise ConnectionError("Redis does not answer: this worker cannot say that it lives")

    def _alive_key(self, owner: str) -> str:
        return self.namespace(f"alive:{owner}")

    async def _keep(self) -> None:
        if self._beat:
            self._beat.turn()
        with contextlib.suppress(*UNAVAILABLE):
            await self.fetch(sql.RENEW, self.owner, self.name, float(LEASE_SECONDS))
        news = await self.redis.get(self._changes)
        if news != self._news:
            self._news = news
            self.ticker.look()
        if self._beat and self._beat.may_judge():
            await self._take_over()

    async def _take_over(self) -> list[str]:
        """Queue the jobs of dead workers again; their keys."""
        ids = await self.redis.lrange(self._active, 0, -1)
        self._unheld = {job_id: at for job_id, at in self._unheld.items() if job_id in ids}
        if not ids:
            return []
        holders = await self.redis.hmget(self._holders, ids)
        owners = [(holder or b"").rpartition(b"|")[0].decode() for holder in holders]
        alive = await self.redis.mget([self._alive_key(owner) for owner in owners])
        back = []
        for job_id, holder, owner, is_alive in zip(ids, holders, owners, alive, strict=True):
            # What this worker holds and does not know of: the answer was lost with its connection.
            is_unknown = owner == self.owner and (
                self.job_key_from_id(job_id.decode()) not in self.consumer.held
            )
            if holder is None or is_unknown:
                seen_at = self._unheld.setdefault(job_id, time.monotonic())
                if time.monotonic() - seen_at < UNHELD_SECONDS:
                    continue
            elif is_alive:
                continue
            is_crash = holder is not None and not is_unknown
            if key := await self._recover(job_id, (holder or b"").decode(), is_crash=is_crash):
                back.append(key)
        return back

    async def _recover(self, job_id: bytes, holder: str, *, is_crash: bool) -> str | None:
        try:
            job = self._read_job(await self.redis.get(job_id))
        except MalformedJobError:
            # The next who takes it will say so.
            await self.redis.lrem(self._active, 0, job_id)
            await self.redis.rpush(self._queued, job_id)
            return None
        if is_crash:
            job.crashes += 1
            job.meta[CRASHES] = job.crashes
        if job.status is not Status.QUEUED:  # as it is still where it was never started
            job.attempts = max(job.attempts - 1, 0)
        job.status, job.worker_id, job.error = (
            Status.QUEUED,
            None,
            "its worker died while running it",
        )
        if job.crashes >= sql.CRASHES_MAX:
            job.status = Status.FAILED
            job.error = f"its worker died {job.crashes} times while running it"
            job.completed = now()
            answer = await self._write_end(job, holder)
        else:
            await self._history.note(job)  # first: whoever takes it next writes after this
            answer = await self._write_queued(job, holder)
        if isinstance(answer, bytes):  # somebody had asked it to stop
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            answer = await self._write_end(job, holder)
        if answer != 1:
            return None
        log.warning("took a job from a dead worker", job_key=job.key, status=job.status.value)
        self.dead_letters += job.status is Status.FAILED
        if job.status is not Status.QUEUED:
            await self._history.note(job)
        return job.key

    def _keys(self, job: Job) -> list[str]:
        return [
            self._holders, self._active, self._incomplete, self._queued, job.id, job.abort_id,
        ]  # fmt: skip

    async def _write_end(self, job: Job, holder: str) -> Any:
        is_bad = job.status is not Status.COMPLETE
        seconds = max(job.ttl, sql.KEEP_FAILED_SECONDS) if is_bad else job.ttl
        answer = await self._settled(
            keys=self._keys(job), args=[job.id, holder, self.serialize(job), "end", seconds]
        )
        with contextlib.suppress(RedisError, *UNAVAILABLE):
            await self.notify(job)
        return answer

    async def _write_queued(self, job: Job, holder: str, due: float = 0) -> Any:
        return await self._settled(
            keys=self._keys(job), args=[job.id, holder, self.serialize(job), "queue", due]
        )

    async def _write_held(self, job: LeasedJob) -> None:
        await self._touch(
            keys=[self._holders, job.id],
            args=[job.id, f"{self.owner}|{job.lease}", self.serialize(job)],
        )

    async def _stopped(self, keys: list[str]) -> set[str]:
        asked = await self.redis.mget([Job("?", key=key).abort_id for key in keys])
        for key, reason in zip(keys, asked, strict=True):
            if reason is not None and (job := self.consumer.held.get(key)):
                job.error = reason.decode()
        return {key for key, reason in zip(keys, asked, strict=True) if reason is not None}

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0: no limit)."""
        job = await self.consumer.next_job(timeout)
        if job is not None:
            job.attempts -= 1  # SAQ's worker adds it itself
        return job

    async def _settle(self, job: Job, *, due: float | None = None) -> None:
        """Write what became of a held job, now or when Redis is back: the work is not done again.

        `due` is when it is to run again, 0 for now; None where it has ended.
        """
        held = job if isinstance(job, LeasedJob) and job.claimed_at else None
        held = held or self.consumer.held.get(job.key)
        if held is None:
            log.warning("not held here; its outcome is dropped", job_key=job.key)
            return
        holder, failures = f"{self.owner}|{held.lease}", 0
        if due is not None:
            await self._history.note(job, due=due)  # first: whoever takes it next writes after this
        while True:
            try:
                if due is None:
                    answer = await self._write_end(job, holder)
                else:
                    answer = await self._write_queued(job, holder, due)
                break
            except UNAVAILABLE as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "outcome not written yet; trying until it is",
                        job_key=job.key, error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(backoff(failures))
        if isinstance(answer, bytes):
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            return await self._settle(job)
        self.consumer.release(held)
        if answer != 1:
            log.warning("lease lost; the outcome of this run is dropped", job_key=job.key)
            return None
        self.complete += job.status is Status.COMPLETE
        self.failed += job.status is Status.FAILED
        self.aborted += job.status is Status.ABORTED
        if due is None:
            await self._history.note(job)
        return None

    async def finish(
        self,
        job: Job,
        status: Status,
        *,
        result: Any = None,
        error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """End a job. Refused, with a log line, where this process no longer holds it.

        Raises `TypeError` or `ValueError` where the result has no JSON form or is over 1 MiB.
        """
        rows.dump_ending(job, status, result, error)
        job.status, job.result, job.error, job.completed = status, result, error, now()
        if status is Status.COMPLETE:
            job.progress = 1.0
        await self._settle(job)

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again: one that runs here with its delay, any other only once it has ended.

        Raises `JobNotFoundError`, `JobStateError`.
        """
        delay = rows.retry_delay(job)
        is_held = isinstance(job, LeasedJob) and job.claimed_at
        stored = job if is_held else await self.job(job.key)
        if stored is None:
            raise JobNotFoundError(job.key)
        if not is_held and stored.status not in TERMINAL_STATUSES:
            raise JobStateError(job.key, stored.status.value, "only an ended job can be retried")
        stored.status, stored.error, stored.result = Status.QUEUED, error if is_held else None, None
        stored.completed, stored.progress, stored.worker_id = 0, 0.0, None
        if is_held:
            await self._settle(stored, due=time.time() + delay if delay else 0)
            self.retried += 1
            return
        stored.attempts = stored.started = stored.scheduled = 0
        stored.meta.pop(CRASHES, None)
        if isinstance(stored, LeasedJob):
            stored.crashes = 0
        await self._history.note(stored, due=time.time())
        if not await self._again(
            keys=[self._incomplete, self._queued, stored.id],
            args=[stored.id, self.serialize(stored)],
        ):
            raise JobStateError(job.key, "queued", "only an ended job can be retried")
        job.status, job.error, job.completed = Status.QUEUED, error, 0

    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        for job in jobs:
            job.attempts -= 1
            job.status, job.error, job.progress, job.worker_id = Status.QUEUED, error, 0.0, None
            await self._settle(job, due=time.time() + delay if delay else 0)

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobNotFoundError`, and `JobStateError` where it has ended.
        """
        stored = await self.job(job.key)
        if stored is None:
            raise JobNotFoundError(job.key)
        state, stored.status, stored.error = stored.status, Status.ABORTED, error
        stored.completed = now()
        keep = max(stored.ttl, sql.KEEP_FAILED_SECONDS)
        was = await self._aborted(
            keys=self._keys(stored),
            args=[stored.id, error, self.serialize(stored), keep, ABORT_SECONDS],
        )
        if was == b"ended":
            raise JobStateError(
                job.key, state.value, "only a waiting or running job can be cancelled"
            )
        if was == b"active":
            job.status, job.error = Status.ABORTING, error
            self.consumer.asked_to_abort.set()
            await self._history.note_asked_to_abort(job)
            return
        self.aborted += 1
        job.status, job.error = stored.status, error
        await self.notify(stored)
        await self._history.note(stored)

    async def job(self, job_key: str) -> Job | None:
        """The job of that key, or None."""
        (job,) = await self.jobs([job_key])
        return job

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        keys = list(job_keys)
        if not keys:
            return []
        found = await self.redis.mget(
            [*map(self.job_id, keys), *(Job("?", key=key).abort_id for key in keys)]
        )
        jobs: list[Job | None] = []
        for key, blob, asked in zip(keys, found[: len(keys)], found[len(keys) :], strict=True):
            try:
                job = self._read_job(blob) if blob else None
            except MalformedJobError as error:
                log.warning("malformed job", job_key=key, error=str(error))
                job = None
            if job and asked is not None and job.status is Status.ACTIVE:
                job.status, job.error = Status.ABORTING, asked.decode()
            jobs.append(job)
        return jobs

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """A running task's progress or meta, or a waiting job's payload: never its status."""
        if isinstance(job, LeasedJob) and self.consumer.holds(job):
            await self._write_held(job)
        elif await self.redis.zscore(self._incomplete, job.id) is not None:
            await SaqRedisQueue._update(self, job)

    def copy(self, job: Job) -> Job:
        return job

    async def stats(self) -> QueueStats:
        """How the queue stands now."""
        (row,) = await self.fetch(FAILED, self.name, float(sql.KEEP_FAILED_SECONDS), sql.COUNT_MAX)
        queued, active = await self.count("queued"), await self.count("active")
        incomplete = await self.count("incomplete")
        oldest = 0.0
        if first := await self.redis.lindex(self._queued, 0):
            with contextlib.suppress(MalformedJobError):
                job = self._read_job(await self.redis.get(first))
                oldest = max(time.time() - max(job.queued / 1000, job.scheduled), 0.0)
        return QueueStats(
            queued=queued,
            scheduled=max(incomplete - queued - active, 0),
            active=active,
            failed=row["failed"],
            workers=row["workers"],
            oldest_due_seconds=oldest,
        )

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows; payloads as text, at most `limit` jobs of each kind."""
        info = await SaqRedisQueue.info(self)
        if jobs:
            last = offset + min(limit, PAGE_ROWS) - 1
            ids = await self.redis.lrange(self._active, offset, last)
            ids += [
                each for each in await self.redis.zrange(self._incomplete, offset, last)
                if each not in ids
            ]  # fmt: skip
            found = await self.jobs(self.job_key_from_id(each.decode()) for each in ids)
            info["jobs"] = [
                job.to_dict() | {"kwargs": repr(job.kwargs or {})} for job in found if job
            ]
        return info

    async def schedule(self, _lock: int = 1) -> list[str]:
        """For SAQ's own worker: delayed jobs, and the due ticks of the schedules."""
        await SaqRedisQueue.schedule(self, _lock)
        return await self.ticker.tick()

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Queue the jobs of dead workers again, at once; their keys."""
        swept = await self._take_over()
        await self.prune()
        return swept

    async def clear(self, status: Status, *, task: str | None = None) -> int:
        cleared = 0
        async for page in self.kept(status, task):
            if page:
                cleared += int(await self.redis.delete(*(self.job_id(job.key) for job in page)))
            if cleared >= BULK_JOBS:
                break
        return cleared

    async def prune(self) -> int:
        """Forget old history; Redis forgets its jobs itself. Says which jobs it has lost."""
        await self._history.mend()
        deleted = 0
        for statement in (sql.PRUNE_HISTORY, sql.PRUNE_WORKERS):
            deleted += len(await self.fetch(statement))
        return deleted

    # What SAQ's `enqueue`, `retry` and `finish` call; ours do it themselves.
    async def _enqueue(self, job: Job) -> Job | None:
        return await self.enqueue(job)

    async def _retry(self, job: Job, error: str | None) -> None:
        await self.retry(job, error)

    async def _finish(
        self, job: Job, status: Status, *, result: Any = None, error: str | None = None
    ) -> None:
        await self.finish(job, status, result=result, error=error)


def create_redis_queue(
    settings: Settings, registry: Registry, *, password: Password | None
) -> RedisQueue:
    """From QUEUE_DSN; what it says of `concurrency` is ours, the rest is for the client."""
    parts = urlsplit(settings.queue_url)
    query = dict(parse_qsl(parts.query))
    concurrency = query.pop("concurrency", None)
    return RedisQueue(
        urlunsplit(parts._replace(query=urlencode(query))),
        registry,
        database=settings.database_dsn,
        pool_size=settings.queue_pool_size,
        password=password,
        concurrency=int(concurrency) if concurrency else None,
    )
