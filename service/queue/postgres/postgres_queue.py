"""The Postgres queue: SAQ's `Queue` on asyncpg. `postgres_consumer.py` is the worker's side."""

import asyncio
import contextlib
import copy
import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from typing import Any, Self

import structlog
from saq import Job, Status
from saq.types import WorkerInfo
from saq.utils import now

from service import contract, observers
from service.db import CONNECT_TIMEOUT_SECONDS, UNAVAILABLE, Connection, NotReadyError, Password
from service.queue import job_blob
from service.queue.bulk_action import BulkAction
from service.queue.interface import OnWritten, new_owner
from service.queue.job import LeasedJob, retry_delay, unread_job
from service.queue.postgres import abort_retry, bulk_steps, inserts, retention
from service.queue.postgres import statements as sql
from service.queue.postgres.inspection import PostgresReads
from service.queue.postgres.lease import LEASE_SECONDS, Lease
from service.queue.postgres.outcomes import Outcome, OutcomeWriter
from service.queue.postgres.postgres_consumer import PostgresConsumer
from service.queue.schedules.scheduler import TableScheduler
from service.queue.schedules.store import ScheduleTable
from service.queue.tables.batch import Batch
from service.queue.tables.connections import Database, storable
from service.queue.tasks.enqueue import check_job, requested_job
from service.queue.tasks.registry import Registry

DEAF_SECONDS = 60.0  # LISTEN receives its own ping every ten seconds

log = structlog.stdlib.get_logger("queue")


def channel_of(name: str) -> str:
    """The channel of that queue's notifications; a stock SAQ worker listens to it too."""
    return f"saq:{name}"


class PostgresQueue(PostgresReads):
    """A SAQ queue that loses no job: a running job is held by a lease, and only its holder ends it.

    Task names and payloads are checked against `registry` when a job is enqueued. `connect` needs
    no database yet, the first statement does. While the database is away, calls raise one of
    `service.db.UNAVAILABLE`.
    """

    scheme = "postgresql"
    consumer: PostgresConsumer
    scheduler: TableScheduler

    def __init__(
        self,
        dsn: str,
        registry: Registry,
        *,
        name: str = contract.QUEUE_NAME,
        pool_size: int = 4,
        poll_seconds: float = 5.0,
        password: Password | None = None,
        served: contract.ServedQueues | None = None,
        worker_pool: str = "",
    ) -> None:
        super().__init__(
            registry, name=name, dump=None, load=None, served=served, worker_pool=worker_pool
        )
        self.owner = new_owner()
        self.channel = channel_of(name)
        self.database = Database(dsn, name=name, pool_size=pool_size, password=password)
        self.enqueue_batch = Batch(self.insert)
        self._outcomes = OutcomeWriter(
            self.database,
            lambda outcomes, count: self.consumer.turn(outcomes, count),  # noqa: PLW0108 - made below
        )
        self._pruner = retention.Pruner(self)
        self.scheduler = TableScheduler(self)
        self.schedule_store = ScheduleTable(self.database, name)
        self.jobs_started = self.dead_letters = 0
        self.lease = Lease(
            self,
            on_dead_letter=self.count_dead_letter,
            on_pauses=lambda: self.consumer.on_pauses(),  # noqa: PLW0108 - it is made below
        )
        self.consumer = PostgresConsumer(
            self,
            self.lease,
            warm_up=self._outcomes.warm_up,
            dead_letter=self.dead_letter,
            on_schedules_changed=self.scheduler.wake,
            poll_seconds=poll_seconds,
        )

    async def connect(self) -> None:
        """Make the pool, whose connections open when they are needed. May be called again."""
        if await self.database.open():
            self.consumer.resume()
            await super().connect()

    def another(self, name: str) -> Self:
        made = copy.copy(self)
        made.name, made.channel = name, channel_of(name)
        made.complete = made.failed = made.retried = made.aborted = 0
        made.jobs_started = made.dead_letters = 0
        made.enqueue_batch = Batch(made.insert)
        return made

    async def ping(self) -> None:
        """Raises `NotReadyError` where this process claims jobs and its lease or LISTEN is dead."""
        consumer = self.consumer
        if not consumer.is_started:
            return
        if self.lease.seconds_since_beat() > LEASE_SECONDS:
            raise NotReadyError("the lease of this process's worker is not renewed")
        if consumer.seconds_since_heard() > DEAF_SECONDS:
            raise NotReadyError(f"LISTEN has heard nothing for {DEAF_SECONDS:.0f} s")

    async def disconnect(self) -> None:
        """Hand back the jobs that have not started, then close every connection.

        Takes seven seconds at most: while the database does not answer, the lease expires instead.
        """
        closing = asyncio.create_task(self._close())
        await asyncio.wait([closing], timeout=CONNECT_TIMEOUT_SECONDS)
        if not closing.done():
            log.error("the database does not answer; claimed jobs wait until the lease expires")
            self.database.terminate()
            await asyncio.wait([closing], timeout=1.0)
            closing.cancel()
            await asyncio.wait([closing], timeout=1.0)
        elif error := closing.exception():
            raise error

    async def _close(self) -> None:
        await self.consumer.stop()
        await self.database.close()

    async def enqueue(  # type: ignore[override] # positional-only: any name may be a payload field
        self,
        job_or_func: str | Job,
        /,
        *,
        connection: Connection | None = None,
        **kwargs: Any,
    ) -> Job | None:
        """Put a job in the queue. Returns it, or None where its key already waits or runs.

            await queue.enqueue("send_welcome_email", user_id=7)
            await queue.enqueue("send_welcome_email", user_id=7, delay=60, key="welcome-7")

        With `connection`, the job exists if and only if the caller's transaction on it commits.
        Where it raises `UnknownTaskError`, `InvalidPayloadError` or `InvalidOptionError`, nothing
        was enqueued.
        """
        if not isinstance(job_or_func, Job) and not isinstance(connection, Connection | None):
            kwargs["connection"] = connection  # a payload field of that name
            connection = None
        job = requested_job(self.registry, job_or_func, kwargs)
        if (home := self._home(job)) is not self:
            return await home.enqueue(job, connection=connection)
        if observers.tracer is None:
            is_new = await self._put(job, connection)
        else:
            with observers.tracer.sending(self.name, [job]):
                is_new = await self._put(job, connection)
        if is_new:
            log.info("enqueued", job_key=job.key, task=job.function, queue=self.name)
        return job if is_new else None

    async def _put(self, job: Job, connection: Connection | None) -> bool:
        await self.prepare(job)
        if connection is None:
            return await self.enqueue_batch(job)
        (is_new,) = await self.insert([job], connection)
        return is_new

    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """Put jobs in the queue, all or none. Returns each, or None where its key waits or runs.

            await queue.enqueue_many(Job("invoice.send", kwargs={"id": id}) for id in ids)

        One statement for each thousand, in one transaction; with `connection`, in the caller's.
        """
        checked = [check_job(self.registry, job) for job in jobs]
        if observers.tracer is None:
            new = await self._put_many(checked, connection)
        else:
            with observers.tracer.sending(self.destination(checked), checked):
                new = await self._put_many(checked, connection)
        log.info("enqueued many", jobs=len(new))
        return [job if id(job) in new else None for job in checked]

    async def _put_many(self, jobs: list[Job], connection: Connection | None) -> set[int]:
        """The ids of the Python objects of those that are new."""
        of_queue: dict[PostgresQueue, list[Job]] = {}
        for job in jobs:
            home = self._home(job)
            await home.prepare(job)
            of_queue.setdefault(home, []).append(job)
        async with contextlib.AsyncExitStack() as stack:
            if connection is None:
                connection = await stack.enter_async_context(self.transaction())
            # In the order of the queues too: each statement keeps its rows locked until the last
            # has run.
            new: set[int] = set()
            for home in sorted(of_queue, key=lambda each: each.name):
                new |= await inserts.insert_many(home, of_queue[home], connection)
        return new

    async def enqueue_ticks(self, jobs: list[Job], connection: Connection) -> list[Job | None]:
        return await self.enqueue_many(jobs, connection=connection)

    async def insert(self, jobs: list[Job], connection: Connection | None = None) -> list[bool]:
        return await inserts.insert(self, jobs, connection)

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0: no limit)."""
        job = await self.consumer.next_job(timeout)
        if job is not None:
            job.attempts -= 1  # the claim has counted it, and SAQ's worker counts it again
            job.is_dequeued = True
        return job

    async def dead_letter(self, key: str, lease: int, error: str) -> None:
        """Fail a claimed row that holds no readable job."""
        self.count_dead_letter()
        job = unread_job(key, lease)
        await self._write_outcome(Outcome(job=job, status=Status.FAILED, error=error))

    def count_dead_letter(self) -> None:
        self.dead_letters += 1

    async def _write_outcome(self, outcome: Outcome) -> bool:
        """Write the outcome of a held job. False, and a log line, where it is no longer held."""
        was_held = await self._outcomes.write(outcome)
        self._note(outcome, was_held)
        return was_held

    def _note(self, outcome: Outcome, was_held: bool) -> None:
        job = outcome.job
        self.consumer.release(job)
        if job.group_key or job.crashes or outcome.status is Status.QUEUED:
            self.consumer.wake()  # the next job of its group may be due, or its own retry
        if not was_held:
            log.warning(
                "lease lost; the outcome of this run is dropped",
                job_key=job.key, task=job.function, outcome=outcome.status.value,
            )  # fmt: skip
        elif outcome.status is Status.COMPLETE:
            self.complete += 1
        elif outcome.status is Status.FAILED:
            self.failed += 1
        elif outcome.status is Status.ABORTED:
            self.aborted += 1

    def complete_soon(self, job: LeasedJob, result: Any, then: OnWritten) -> bool:
        ending = job_blob.dump_ending(job, Status.COMPLETE, result, None)
        outcome = Outcome(job=job, status=Status.COMPLETE, ending=ending)

        def on_written(answer: bool | Exception) -> None:
            if not isinstance(answer, Exception):
                self._note(outcome, answer)
            then(answer)

        self._outcomes.write_soon(outcome, on_written)
        return True

    async def finish(
        self,
        job: Job,
        status: Status,
        *,
        result: Any = None,
        error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """End a job. Where this process no longer holds it, only a line is logged."""
        if not isinstance(status, Status):
            status = Status(status)
        error = storable(error)
        ending = job_blob.dump_ending(job, status, result, error)
        if (held := self.own_run(job)) is None:
            log.warning("not held here; its outcome is dropped", job_key=job.key)
            return
        if held.is_dequeued and await self.requeue_instead(held, status, error):
            return
        await self._write_outcome(Outcome(job=held, status=status, error=error, ending=ending))
        job.status, job.result, job.error, job.completed = status, result, error, now()
        if status is Status.COMPLETE:
            job.progress = 1.0

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again.

        A job that runs in this process is queued again after its retry delay. Any other must have
        ended, else `JobStateError` is raised, because it would run twice at once.
        """
        if held := self.dequeued_run(job):
            if held.is_dequeued and await self.defer_unknown(held, error):
                return
            error = storable(error)
            await self._write_outcome(
                Outcome(
                    job=held,
                    status=Status.QUEUED,
                    error=error,
                    ending=job_blob.dump_retry(held, error),
                    delay=retry_delay(held),
                )
            )
            self.retried += 1
        else:
            await abort_retry.retry_ended(self._home(job), job.key)
        job.status = Status.QUEUED
        job.error, job.completed, job.started, job.progress = error, 0, 0, 0
        job.touched = now()

    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        """Queue held jobs again, due in `delay` seconds. The interrupted run costs no attempt."""
        if not jobs:
            return
        await asyncio.gather(
            *(
                self._write_outcome(
                    Outcome(
                        job=job,
                        status=Status.QUEUED,
                        error=error,
                        ending=job_blob.dump_retry(job, error) if job.is_published else None,
                        delay=delay,
                        refund=1,
                    )
                )
                for job in jobs
            )
        )
        if not delay:
            with contextlib.suppress(*UNAVAILABLE):  # without it, other workers poll
                for queue in {job.queue or self for job in jobs}:
                    await self.named(queue.name).notify_workers("saq:enqueue")

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobNotFoundError`, and `JobStateError` where it has ended.
        """
        job.error = error
        job.status = await abort_retry.abort(self._home(job), job.key, error)

    async def change_jobs(
        self, action: BulkAction, jobs: Mapping[int, tuple[str, str]], place: int
    ) -> BulkAction | None:
        return await bulk_steps.change(self, action, list(jobs), place)

    async def restore_jobs(
        self, action: BulkAction, undone: BulkAction, was: list[dict[str, Any]], place: int
    ) -> BulkAction | None:
        return await bulk_steps.restore(self, action, undone, was, place)

    async def notify_workers(self, message: str) -> None:
        """Send `message` to every worker of this queue."""
        await self.fetch("SELECT pg_notify($1, $2)", self.channel, message)

    async def schedule(self, _lock: int = 1) -> list[str]:
        """Enqueue the due ticks of the schedules; SAQ's worker calls this every second."""
        return await self.scheduler.tick()

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Queue the jobs of dead workers again, and prune. Returns the keys of the queued jobs.

        A worker that has just started, or was cut off, rescues no job for some seconds: the others
        may have been cut off too and are about to return.
        """
        swept = await self.lease.rescue()
        swept += await self.sweep_dequeued(abort)
        await self.prune()
        return swept

    async def prune(self) -> int:
        return await self._pruner.prune()

    async def retained(self, status: Status, task: str | None) -> AsyncIterator[list[Job]]:
        yield await retention.retained(self, status, task)

    async def clear(self, status: Status, *, task: str | None = None) -> int:
        return await retention.clear(self, status, task)

    async def is_superseded(self, release: str, *, after_seconds: float) -> bool:
        (row,) = await self.fetch(sql.IS_SUPERSEDED, self.owner, release, after_seconds)
        return bool(row["is_superseded"])

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        """Store what SAQ's web page shows of a worker, for `ttl` seconds."""
        stats, metadata = json.dumps(info["stats"]), json.dumps(info["metadata"])
        served = self.served.names
        queue = self.name if self.name in served else served[0]
        await self.fetch(sql.WRITE_WORKER, worker_id, stats, queue, metadata, ttl)

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """Store a held job's progress and meta, or a waiting job's payload; never its status."""
        if run := self.updated_run(job):
            run.is_published = True
            blob = job_blob.dump_running(run)
            await self.fetch(sql.UPDATE_HELD, run.key, run.lease, run.progress, blob)
            return
        is_moved = "scheduled" in kwargs
        due = int(job.scheduled) or (int(time.time()) if is_moved else None)
        if not await self.fetch(
            sql.UPDATE_WAITING, job.key, self._home(job).name, job_blob.dump(job), due, is_moved
        ):
            log.warning("job not updated: it neither waits nor runs here", job_key=job.key)
