"""The queue: SAQ's `Queue` on asyncpg, over SAQ's own tables. `consumer.py` is the worker's side."""

import asyncio
import json
import os
import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Any, TypeVar

import asyncpg
import structlog
from saq import Job, Status
from saq.queue.base import Queue
from saq.types import CountKind, QueueInfo, WorkerInfo
from saq.utils import now

from service import contract
from service.db import CONNECT_TIMEOUT_SECONDS, UNAVAILABLE, backoff, create_pool
from service.queue import job as rows
from service.queue import statements as sql
from service.queue.batch import Batch
from service.queue.consumer import Consumer
from service.queue.dispatch import check_job, job_from_call
from service.queue.errors import InvalidOptionError, JobNotFoundError, JobStateError
from service.queue.job import LeasedJob, MalformedJobError, Settlement
from service.queue.registry import Registry

STATEMENT_TIMEOUT_SECONDS = 15.0
PAGE_ROWS = 50  # of each kind of job on the job page

T = TypeVar("T")
log = structlog.stdlib.get_logger("queue")


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """How a queue stands; counts stop at 100,000."""

    queued: int  # due and waiting: the backlog
    scheduled: int  # waiting for their time
    active: int
    failed: int  # and still kept
    workers: int  # alive
    oldest_due_seconds: float  # how long the job that has waited longest is due


class PostgresQueue(Queue):
    """A SAQ queue that loses no job: held by lease, changed only under it, in batched statements.

    Names and payloads are checked against `registry` when they are enqueued. Nothing connects
    before `connect`, and nothing needs the database to be there before the first statement. While
    the database is away, calls raise one of `service.db.UNAVAILABLE`.
    """

    def __init__(
        self,
        dsn: str,
        registry: Registry,
        *,
        name: str = contract.QUEUE_NAME,
        pool_size: int = 4,
        poll_seconds: float = 5.0,
    ) -> None:
        super().__init__(name=name, dump=None, load=None)
        self.registry = registry
        self.owner = f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"
        self.channel = f"saq:{name}"  # a stock SAQ worker listens to it too
        self.consumer = Consumer(self, poll_seconds=poll_seconds)
        self._dsn = dsn
        self._pool_size = pool_size
        self._pool: asyncpg.Pool | None = None
        self._connecting = asyncio.Lock()
        self._enqueue_batch = Batch(self._insert)
        self._settle_batch = Batch(self._settle)

    @property
    def pool(self) -> asyncpg.Pool:
        """The queue's connections; a RuntimeError before `connect`."""
        if self._pool is None:
            raise RuntimeError("the queue is not connected: await queue.connect() first")
        return self._pool

    async def connect(self) -> None:
        """Make the pool; its connections open when they are first needed. May be called again."""
        async with self._connecting:
            if self._pool is None:
                self._pool = await create_pool(
                    self._dsn,
                    name=f"moorage queue {self.name}",
                    max_size=self._pool_size,
                    statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
                )
                await super().connect()

    async def disconnect(self) -> None:
        """Hand back what is claimed and not started, then close every connection."""
        await self.consumer.stop()
        pool, self._pool = self._pool, None
        if pool is not None:
            try:
                async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                    await pool.close()
            except TimeoutError:
                pool.terminate()

    async def listening_connection(self) -> asyncpg.Connection:
        """A connection outside the pool, for LISTEN alone."""
        connection: asyncpg.Connection = await asyncpg.connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={"application_name": f"moorage listen {self.name}"},
        )
        return connection

    async def enqueue(
        self,
        job_or_func: str | Job,
        /,
        *,
        connection: asyncpg.Connection | None = None,
        **kwargs: Any,
    ) -> Job | None:
        """Put a job in the queue; None where one with its key already waits or runs.

            await queue.enqueue("send_welcome_email", user_id=7)
            await queue.enqueue("send_welcome_email", user_id=7, delay=60, key="welcome-7")

        With `connection`, the job exists if and only if the caller's transaction on it commits.
        Raises `UnknownTaskError`, `InvalidPayloadError` or `InvalidOptionError`, and then nothing
        was enqueued.
        """
        if isinstance(job_or_func, Job):
            job = check_job(self.registry, job_or_func)
            for option, value in kwargs.items():
                if option not in Job.__dataclass_fields__:
                    raise InvalidOptionError(option, "is not a field of a job")
                setattr(job, option, value)
        else:
            if connection is not None and not isinstance(
                connection, asyncpg.Connection | asyncpg.pool.PoolConnectionProxy
            ):
                kwargs["connection"] = connection  # a task's own field of that name
                connection = None
            job = job_from_call(self.registry, job_or_func, kwargs)
        if job.queue is not None and job.queue.name != self.name:
            raise InvalidOptionError("queue", f"the job belongs to the queue {job.queue.name!r}")
        job.queue = self
        job.queued = now()
        job.status = Status.QUEUED
        await self._before_enqueue(job)
        if connection is None:
            await self.connect()
            is_new = await self._enqueue_batch(job)
        else:
            (is_new,) = await self._insert([job], connection)
        if is_new:
            log.info("enqueued", job_key=job.key, task=job.function)
        return job if is_new else None

    async def _enqueue(self, job: Job) -> Job | None:
        return job if await self._enqueue_batch(job) else None

    async def _insert(
        self, jobs: list[Job], connection: asyncpg.Connection | None = None
    ) -> list[bool]:
        # By key: two statements that met the same keys in another order could deadlock. A key that
        # comes twice can be inserted once; the second then finds the first waiting.
        by_key = {job.key: job for job in sorted(reversed(jobs), key=lambda job: job.key)}
        batch = list(by_key.values())
        arguments = (
            list(by_key),
            [rows.dump(job) for job in batch],
            [job.priority for job in batch],
            [job.group_key for job in batch],
            [int(job.scheduled) for job in batch],
            [job.function for job in batch],
            self.name,
            self.channel,
        )
        if connection is None:
            found = await self._run(lambda pool: pool.fetch(sql.ENQUEUE, *arguments))
        else:
            found = await connection.fetch(sql.ENQUEUE, *arguments)
        new = {row["key"] for row in found}
        return [job.key in new and by_key[job.key] is job for job in jobs]

    async def enqueue_tick(self, job: Job) -> None:
        """Put one tick of a schedule in the queue, once, whichever worker comes first."""
        job.queue = self
        job.queued = now()
        await self._run(
            lambda pool: pool.execute(
                sql.ENQUEUE_ONCE,
                job.key, rows.dump(job), self.name, job.priority, job.scheduled, job.function,
            )
        )  # fmt: skip

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0 waits for ever)."""
        await self.connect()
        return await self.consumer.next_job(timeout)

    async def finish(
        self,
        job: Job,
        status: Status,
        *,
        result: Any = None,
        error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """End a job. Refused, with a log line, where this process no longer holds it."""
        held = job if isinstance(job, LeasedJob) else await self._held_here(job.key)
        ending = rows.dump_ending(job, status, result, error)
        if held is not None:
            await self.settle(Settlement(job=held, status=status, error=error, ending=ending))
        job.status, job.result, job.error, job.completed = status, result, error, now()
        if status is Status.COMPLETE:
            job.progress = 1.0

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again.

        A job this process runs goes back with its retry delay. Any other has to have ended, or
        `JobStateError` is raised: running a job twice at once is what a retry must never do.
        """
        if isinstance(job, LeasedJob) and self.consumer.holds(job):
            await self.settle(
                Settlement(
                    job=job, status=Status.QUEUED, error=error, delay=job.next_retry_delay()
                )
            )
            self.retried += 1
        else:
            await self._change_state(sql.RETRY_ENDED, job.key, wanted="only an ended job can be retried")
            await self._notify("saq:enqueue")
        job.status = Status.QUEUED
        job.error, job.completed, job.started, job.progress = error, 0, 0, 0

    async def hand_back(self, jobs: list[LeasedJob], error: str | None = None) -> None:
        """Queue jobs again that were not run, or not to their end, through no fault of theirs."""
        await asyncio.gather(
            *(
                self.settle(Settlement(job=job, status=Status.QUEUED, error=error, refund=1))
                for job in jobs
            )
        )

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobStateError` where it has ended, and leaves it as it is.
        """
        job.error = error
        job.status = Status(
            await self._change_state(
                sql.ABORT, job.key, error, wanted="only a waiting or running job can be cancelled"
            )
        )
        if job.status is Status.ABORTING:
            await self._notify("saq:abort")

    async def _notify(self, message: str) -> None:
        await self._run(lambda pool: pool.execute("SELECT pg_notify($1, $2)", self.channel, message))

    async def _change_state(self, statement: str, key: str, *arguments: Any, wanted: str) -> str:
        status: str | None = await self._run(
            lambda pool: pool.fetchval(statement, key, self.name, *arguments)
        )
        if status is not None:
            return status
        current: str | None = await self._run(
            lambda pool: pool.fetchval(sql.STATUS, self.name, key)
        )
        if current is None:
            raise JobNotFoundError(key)
        if current == Status.ABORTING and statement == sql.ABORT:
            return current  # asked twice
        raise JobStateError(key, current, wanted)

    async def settle(self, settlement: Settlement) -> bool:
        """Write what becomes of a held job; False, and a log line, where it is not held any more."""
        job = settlement.job
        was_held = await self._settle_surely(settlement)
        self.consumer.release(job)
        if not was_held:
            log.warning(
                "lease lost; the outcome of this run is dropped",
                job_key=job.key, task=job.function, outcome=settlement.status.value,
            )  # fmt: skip
        elif settlement.status is Status.COMPLETE:
            self.complete += 1
        elif settlement.status is Status.FAILED:
            self.failed += 1
        elif settlement.status is Status.ABORTED:
            self.aborted += 1
        return was_held

    async def _settle_surely(self, settlement: Settlement) -> bool:
        # Work that is done is not done again because the database is away: it is written when the
        # database returns, for as long as this process may wait.
        failures = 0
        while True:
            try:
                return await self._settle_batch(settlement)
            except UNAVAILABLE as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "outcome not written yet; trying until it is",
                        job_key=settlement.job.key, error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(backoff(failures))

    async def _settle(self, settlements: list[Settlement]) -> list[bool]:
        arguments = (
            [settled.job.key for settled in settlements],
            [settled.job.lease for settled in settlements],
            [settled.status.value for settled in settlements],
            [_text(settled.error) for settled in settlements],
            [settled.ending for settled in settlements],
            [float(settled.delay) for settled in settlements],
            [settled.refund for settled in settlements],
            [settled.job.ttl for settled in settlements],
        )
        found = await self._run(lambda pool: pool.fetch(sql.SETTLE, *arguments))
        held = {row["key"] for row in found}
        return [settled.job.key in held for settled in settlements]

    async def _held_here(self, key: str) -> LeasedJob | None:
        job = await self.job(key)
        return job if isinstance(job, LeasedJob) and job.worker_id == self.owner else None

    async def _run(self, statement: Callable[[asyncpg.Pool], Awaitable[T]]) -> T:
        try:
            return await statement(self.pool)
        except asyncpg.ReadOnlySQLTransactionError:
            # A writer that was demoted keeps its connections and refuses every write on them.
            await self.pool.expire_connections()
            raise

    async def job(self, job_key: str) -> Job | None:
        """The job of that key, or None."""
        (job,) = await self.jobs([job_key])
        return job

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        """The jobs of these keys in their order, None for each that is not in this queue."""
        keys = list(job_keys)
        await self.connect()
        found = await self._run(lambda pool: pool.fetch(sql.GET, self.name, keys))
        by_key = {job.key: job for job in self._load_all(found)}
        return [by_key.get(key) for key in keys]

    async def iter_jobs(
        self, statuses: list[Status] = list(Status), batch_size: int = 100
    ) -> AsyncIterator[Job]:
        """Every job in one of `statuses`, by key, `batch_size` rows at a time."""
        last_key = ""
        wanted = [Status(status).value for status in statuses]
        while True:
            after = last_key
            found = await self._run(
                lambda pool: pool.fetch(sql.ITERATE, self.name, wanted, after, batch_size)  # noqa: B023
            )
            if not found:
                return
            for job in self._load_all(found):
                yield job
            last_key = found[-1]["key"]

    def _load_all(self, found: list[asyncpg.Record]) -> list[LeasedJob]:
        jobs = []
        for row in found:
            try:
                jobs.append(rows.load(row, self))
            except MalformedJobError as error:
                log.warning("malformed job", job_key=row["key"], error=str(error))
        return jobs

    async def stats(self) -> QueueStats:
        """How the queue stands now, in one statement."""
        await self.connect()
        row = await self._run(lambda pool: pool.fetchrow(sql.STATS, self.name))
        assert row is not None
        return QueueStats(**row)

    async def count(self, kind: CountKind) -> int:
        """How many jobs are due ("queued"), running ("active"), or either or later ("incomplete")."""
        stats = await self.stats()
        if kind == "queued":
            return stats.queued
        if kind == "active":
            return stats.active
        return stats.queued + stats.active + stats.scheduled

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows; with `jobs`, at most `limit` running, waiting and failed each.

        Payloads come as text: the page would build HTML elements from an object's keys.
        """
        stats = await self.stats()
        workers = await self._run(lambda pool: pool.fetch(sql.WORKERS, self.name))
        page: list[dict[str, Any]] = []
        if jobs:
            found = await self._run(
                lambda pool: pool.fetch(sql.PAGE, self.name, min(limit, PAGE_ROWS), offset)
            )
            page = [job.to_dict() | {"kwargs": repr(job.kwargs or {})} for job in self._load_all(found)]
        return {
            "workers": {
                row["worker_id"]: {
                    "stats": json.loads(row["stats"]),
                    "metadata": json.loads(row["metadata"] or "null"),
                    "queue_key": self.name,
                }
                for row in workers
            },
            "name": self.name,
            "queued": stats.queued,
            "active": stats.active,
            "scheduled": stats.scheduled,
            "jobs": page,
        }

    async def schedule(self, _lock: int = 1) -> list[str]:
        """Put the next tick of each schedule in the queue; SAQ's worker calls this every second."""
        return await self.consumer.schedule_ticks()

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Requeue the jobs of dead workers now and delete what has expired; the keys requeued."""
        swept = await self.consumer.recover()
        await self.consumer.prune()
        return swept

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        """What SAQ's web page shows of a worker, for `ttl` seconds."""
        await self._run(
            lambda pool: pool.execute(
                sql.WRITE_WORKER,
                worker_id,
                json.dumps(info["stats"]),
                self.name,
                json.dumps(info["metadata"]),
                ttl,
            )
        )

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """A running task's progress or meta, or a waiting job's payload: never its status."""
        blob = rows.dump(job)
        if isinstance(job, LeasedJob) and self.consumer.holds(job):
            await self._run(
                lambda pool: pool.execute(
                    sql.UPDATE_HELD, job.key, job.lease, job.progress, blob if kwargs else None
                )
            )
        else:
            await self._run(
                lambda pool: pool.execute(
                    sql.UPDATE_WAITING, job.key, self.name, blob, int(job.scheduled)
                )
            )

    def copy(self, job: Job) -> Job:
        return job  # SAQ copies before each write, to rewrite the whole blob; we do not

    async def _retry(self, job: Job, error: str | None) -> None:
        await self.retry(job, error)

    async def _finish(
        self, job: Job, status: Status, *, result: Any = None, error: str | None = None
    ) -> None:
        await self.finish(job, status, result=result, error=error)


def _text(value: str | None) -> str | None:
    """Postgres text cannot hold NUL, and an error message may."""
    return value and value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
