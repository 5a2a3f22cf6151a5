"""`memory://`: a queue inside one process, for tests and demonstrations. It ends with it."""

import asyncio
import copy
import dataclasses
import itertools
import os
import secrets
import time
from collections.abc import AsyncIterator, Iterable
from typing import Any

import msgspec
import structlog
from saq import Job, Status
from saq.types import CountKind, QueueInfo, WorkerInfo
from saq.utils import now

from service import contract
from service.queue.broker_consumer import BrokerConsumer
from service.queue.broker_queue import BrokerQueue
from service.queue.errors import JobNotFoundError, JobStateError
from service.queue.interface import BULK_JOBS, PAGE_ROWS, QueueStats
from service.queue.job import KEEP_FAILED_SECONDS, JobRecord, LeasedJob, retry_delay
from service.queue.memory.memory_rows import Row, WaitingRows, copy_of
from service.queue.memory.memory_schedules import MemorySchedules
from service.queue.stock_worker import RUN, UPDATED
from service.queue.tasks.registry import Registry

CLAIM_SECONDS = 1.0
CHANGEABLE = (
    "kwargs", "meta", "timeout", "heartbeat", "retries", "ttl", "retry_delay", "scheduled",
)  # fmt: skip
HISTORY_MAX = 10_000  # the most jobs in the history, whatever their ttl

log = structlog.stdlib.get_logger("queue")


class MemoryQueue(BrokerQueue):
    """A SAQ queue in dictionaries. It answers as the Postgres queue does; nothing survives."""

    scheme = "memory"
    consumer: BrokerConsumer

    def __init__(self, registry: Registry, *, name: str = contract.QUEUE_NAME) -> None:
        super().__init__(name=name, dump=None, load=None)
        self.registry = registry
        self.owner = f"memory-{os.getpid()}-{secrets.token_hex(3)}"
        self._woken = asyncio.Event()
        self.consumer = BrokerConsumer(
            hand_back=self.hand_back,
            claim=self._wait_and_claim,
            aborted=self._find_aborted,
            wake=self._woken.set,
        )
        self.scheduler = self.schedule_store = MemorySchedules(self)
        self.jobs_started = self.dead_letters = 0
        self._ids = itertools.count(1)
        self._rows: dict[str, Row] = {}  # by key, the newest; deleted after its ttl
        self._history: dict[int, Row] = {}  # by id
        self._waiting = WaitingRows(self._rows)
        self._workers: dict[str, tuple[float, WorkerInfo]] = {}
        self._reported_at = float("-inf")

    async def connect(self) -> None:
        await super().connect()
        self.consumer.resume()

    async def disconnect(self) -> None:
        await self.consumer.stop()

    async def _put(self, job: Job) -> Job | None:
        await self._prepare(job)
        known = self._rows.get(job.key)
        if known is not None and not known.has_ended:
            return None
        stored = LeasedJob(**{f.name: getattr(job, f.name) for f in dataclasses.fields(Job)})
        moment = job.queued / 1000
        row = Row(next(self._ids), copy_of(stored), moment, job.scheduled or moment)
        self._rows[job.key] = self._history[row.id] = row
        self._let_wait(row)
        log.info("enqueued", job_key=job.key, task=job.function)
        return job

    def _let_wait(self, row: Row) -> None:
        row.ticket = next(self._ids)
        self._waiting.add(row)
        self._woken.set()

    async def _wait_and_claim(self, room: int) -> list[LeasedJob]:
        self._woken.clear()
        if claimed := self._claim(room):
            return claimed
        self.consumer.is_idle.set()
        seconds = min(CLAIM_SECONDS, self._waiting.seconds_to_next())
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        return self._claim(room)

    def _claim(self, room: int) -> list[LeasedJob]:
        busy = {row.job.group_key for row in self._rows.values() if row.runs}
        return [row.claim(self.owner) for row in self._waiting.take(room, busy)]

    async def _find_aborted(self, keys: list[str]) -> set[str]:
        found = (self._rows.get(key) for key in keys)
        return {row.job.key for row in found if row and row.job.status is Status.ABORTING}

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0: no limit)."""
        job = await self.consumer.next_job(timeout)
        if job is not None:
            job.attempts -= 1  # the claim has counted it, and SAQ's worker counts it again
            job.is_dequeued = True
        return job

    def _write_outcome(
        self,
        job: Job,
        status: Status,
        *,
        error: str | None,
        result: Any = None,
        delay: float = 0.0,
        refund: int = 0,
    ) -> None:
        """Write the outcome of a held job; a line is logged where it is no longer held."""
        held = self.own_run(job)
        row = self._rows.get(job.key)
        if held is None or row is None or row.job.lease != held.lease or not row.runs:
            log.warning("not held here; its outcome is dropped", job_key=job.key)
            return
        self.consumer.release(held)
        stored = row.job
        if stored.status is Status.ABORTING and status in (Status.QUEUED, Status.ABORTED):
            status, error = Status.ABORTED, stored.error or error
        stored.error, stored.attempts = error, stored.attempts - refund
        if status is Status.QUEUED:
            stored.status, stored.started, stored.progress = status, 0, 0.0
            row.due_at = time.time() + delay if delay else row.due_at
            self._let_wait(row)
            return
        stored.result = result
        stored.progress = 1.0 if status is Status.COMPLETE else stored.progress
        self._end(row, status)
        self._woken.set()  # the next job of its group may run now

    def _end(self, row: Row, status: Status) -> None:
        job = row.job
        job.status, job.completed = status, now()
        row.finished_at = job.completed / 1000
        if status is Status.COMPLETE:
            self.complete += 1
        elif status is Status.FAILED:
            self.failed += 1
        else:
            self.aborted += 1
        kept = job.ttl if status is Status.COMPLETE else max(job.ttl, KEEP_FAILED_SECONDS)
        row.expires_at = time.time() + kept if job.ttl else None
        if job.ttl < 0:
            del self._rows[job.key]

    async def _write_end(self, job: Job, status: Status, result: Any, error: str | None) -> None:
        as_json = msgspec.json.decode(msgspec.json.encode(result))
        self._write_outcome(job, status, error=error, result=as_json)
        job.status, job.result, job.error, job.completed = status, as_json, error, now()

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again.

        A job that runs in this process is queued again after its retry delay. Any other must have
        ended, else `JobStateError` is raised. Raises `JobNotFoundError` where there is none.
        """
        if held := self.dequeued_run(job):
            if held.is_dequeued and await self.defer_unknown(held, error):
                return
            self._write_outcome(held, Status.QUEUED, error=error, delay=retry_delay(held))
            self.retried += 1
        else:
            row = self._rows.get(job.key)
            if row is None:
                raise JobNotFoundError(job.key)
            if not row.has_ended:
                raise JobStateError(
                    job.key, row.job.status.value, "only an ended job can be retried"
                )
            stored = row.job
            stored.status, stored.attempts, stored.error, stored.result = (
                Status.QUEUED,
                0,
                None,
                None,
            )
            stored.completed = stored.started = 0
            stored.progress = 0
            stored.lease += 1
            row.due_at, row.finished_at, row.expires_at = time.time(), None, None
            self._let_wait(row)
        job.status, job.error, job.completed = Status.QUEUED, error, 0
        job.started, job.progress, job.touched = 0, 0.0, now()

    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        for job in jobs:
            self._write_outcome(job, Status.QUEUED, error=error, delay=delay, refund=1)

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobNotFoundError`, and `JobStateError` where it has ended.
        """
        row = self._rows.get(job.key)
        if row is None:
            raise JobNotFoundError(job.key)
        if row.has_ended:
            raise JobStateError(
                job.key, row.job.status.value, "only a waiting or running job can be cancelled"
            )
        if row.job.status is Status.QUEUED:
            row.job.error = error
            self._end(row, Status.ABORTED)
        elif row.job.status is Status.ACTIVE:
            row.job.status, row.job.error = Status.ABORTING, error
            self.consumer.asked_to_abort.set()
        job.status, job.error = row.job.status, error

    async def job(self, job_key: str) -> Job | None:
        row = self._rows.get(job_key)
        return self.marked_if_swept(copy_of(row.job)) if row else None

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        return [await self.job(key) for key in job_keys]

    async def iter_jobs(
        self, statuses: Iterable[Status] = tuple(Status), batch_size: int = 100
    ) -> AsyncIterator[Job]:
        wanted = set(statuses)
        for key in sorted(self._rows):
            if (row := self._rows.get(key)) and row.job.status in wanted:
                yield copy_of(row.job)

    async def find_record(self, key: str) -> JobRecord | None:
        if row := self._rows.get(key):
            return row.record(self.name)
        found = (row for row in reversed(self._history.values()) if row.job.key == key)
        return next((row.record(self.name) for row in found), None)

    async def list_records(
        self,
        *,
        status: str | None = None,
        task: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        found = (
            row.record(self.name)
            for row in reversed(self._history.values())
            if (before is None or row.id < before)
            and status in (None, row.job.status.value)
            and task in (None, row.job.function)
        )
        return list(itertools.islice(found, limit))

    async def stats(self) -> QueueStats:
        waiting = [row for row in self._rows.values() if row.job.status is Status.QUEUED]
        due = [time.time() - row.due_at for row in waiting if row.due_at <= time.time()]
        return QueueStats(
            queued=len(due),
            scheduled=len(waiting) - len(due),
            active=sum(row.runs for row in self._rows.values()),
            failed=sum(row.job.status is Status.FAILED for row in self._rows.values()),
            workers=int(self.consumer.is_started),
            oldest_due_seconds=max(due, default=0.0),
        )

    async def count(self, kind: CountKind) -> int:
        stats = await self.stats()
        if kind == "queued":
            return stats.queued
        return stats.active + (0 if kind == "active" else stats.queued + stats.scheduled)

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows: payloads as text, at most `limit` jobs."""
        stats = await self.stats()
        kinds = [row for row in self._rows.values() if row.job.status is not Status.COMPLETE]
        page = kinds[offset : offset + min(limit, PAGE_ROWS)] if jobs else []
        return {
            "workers": {
                key: info for key, (until, info) in self._workers.items() if until > time.time()
            },
            "name": self.name,
            "queued": stats.queued,
            "active": stats.active,
            "scheduled": stats.scheduled,
            "jobs": [row.job.to_dict() | {"kwargs": repr(row.job.kwargs or {})} for row in page],
        }

    async def claim_report(self, seconds: float) -> bool:
        if time.monotonic() - self._reported_at < seconds:
            return False
        self._reported_at = time.monotonic()
        return True

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        swept = await self.sweep_dequeued(abort)
        await self.prune()
        return swept

    async def clear(self, status: Status, *, task: str | None = None) -> int:
        found = [
            key
            for key, row in self._rows.items()
            if row.job.status is status and task in (None, row.job.function)
        ][:BULK_JOBS]
        for key in found:
            del self._rows[key]
        return len(found)

    async def prune(self) -> int:
        gone = [
            row for row in self._rows.values() if row.expires_at and row.expires_at < time.time()
        ]
        for row in gone:
            del self._rows[row.job.key]
        excess = len(self._history) - HISTORY_MAX
        ended = [row for row in self._history.values() if row.has_ended][: max(excess, 0)]
        for row in ended:
            del self._history[row.id]
            if self._rows.get(row.job.key) is row:
                del self._rows[row.job.key]
        return len(gone) + len(ended)

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        self._workers[worker_id] = (time.time() + ttl, info)

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """Store a held job's progress and meta, or a waiting job's payload; never its status."""
        row = self._rows.get(job.key)
        if row is None:
            return
        if run := self.updated_run(job):
            if row.job.lease == run.lease:
                for name in (*UPDATED, *RUN):
                    setattr(row.job, name, copy.deepcopy(getattr(run, name)))
        elif row.job.status is Status.QUEUED:
            is_moved = "scheduled" in kwargs or job.scheduled not in (0, row.job.scheduled)
            for name in CHANGEABLE:
                setattr(row.job, name, copy.deepcopy(getattr(job, name)))
            if is_moved:
                row.due_at = job.scheduled or time.time()
                self._let_wait(row)
