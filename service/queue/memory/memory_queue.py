"""`memory://`: a queue inside one process, for tests and demonstrations. It ends with it."""

import asyncio
import copy
import dataclasses
import itertools
import os
import secrets
import time
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from typing import Any, Self

import msgspec
import structlog
from saq import Job, Status
from saq.types import WorkerInfo
from saq.utils import now

from service import contract
from service.queue.broker_consumer import BrokerConsumer
from service.queue.errors import JobNotFoundError, JobStateError
from service.queue.fetch_order import FetchOrder
from service.queue.interface import BULK_JOBS
from service.queue.job import KEEP_FAILED_SECONDS, LeasedJob, retry_delay
from service.queue.memory.memory_reads import MemoryReads
from service.queue.memory.memory_rows import Row, WaitingRows, copy_of
from service.queue.memory.memory_schedules import MemorySchedules
from service.queue.reads import MinuteRuns
from service.queue.stock_worker import RUN, UPDATED
from service.queue.tasks.registry import Registry

CLAIM_SECONDS = 1.0
CHANGEABLE = (
    "kwargs", "meta", "timeout", "heartbeat", "retries", "ttl", "retry_delay", "scheduled",
)  # fmt: skip
RUNS = ("complete", "failed", "retried")
RUNS_MAX = 8 * 24 * 60  # minutes whose counts are kept
HISTORY_MAX = 10_000  # the most jobs in the history, whatever their ttl

log = structlog.stdlib.get_logger("queue")


class MemoryQueue(MemoryReads):
    """A SAQ queue in dictionaries. It answers as the Postgres queue does; nothing survives."""

    scheme = "memory"

    def __init__(
        self,
        registry: Registry,
        *,
        name: str = contract.QUEUE_NAME,
        served: contract.ServedQueues | None = None,
        worker_pool: str = "",
    ) -> None:
        super().__init__(
            registry, name=name, dump=None, load=None, served=served, worker_pool=worker_pool
        )
        self.owner = f"memory-{os.getpid()}-{secrets.token_hex(3)}"
        self.started_at = datetime.now(UTC)
        self._woken = asyncio.Event()
        self._runs: defaultdict[datetime, Counter[str]] = defaultdict(Counter)
        self.consumer = BrokerConsumer(
            hand_back=self.hand_back,
            claim=self._wait_and_claim,
            aborted=self._find_aborted,
            wake=self._woken.set,
        )
        self.scheduler = self.schedule_store = MemorySchedules(self)
        self.jobs_started = self.dead_letters = 0
        self._ids = itertools.count(1)
        self.history = {}
        self.paused = set()
        self._order: FetchOrder | None = None
        self.keep_rows()
        self.workers = {}
        self._reported_at = float("-inf")

    def keep_rows(self) -> None:
        self.rows = {}
        self.waiting_rows = WaitingRows(self.rows)

    def another(self, name: str) -> Self:
        made = copy.copy(self)
        made.name = name
        made.complete = made.failed = made.retried = made.aborted = 0
        made.jobs_started = made.dead_letters = 0
        made.keep_rows()
        return made

    async def connect(self) -> None:
        await super().connect()
        self.consumer.resume()

    async def disconnect(self) -> None:
        await self.consumer.stop()

    async def put(self, job: Job) -> Job | None:
        if (home := self._home(job)) is not self:
            return await home.put(job)
        await self.prepare(job)
        known = self.rows.get(job.key)
        if known is not None and not known.has_ended:
            return None
        stored = LeasedJob(**{f.name: getattr(job, f.name) for f in dataclasses.fields(Job)})
        moment = job.queued / 1000
        row = Row(next(self._ids), copy_of(stored), moment, job.scheduled or moment)
        self.rows[job.key] = self.history[row.id] = row
        self._let_wait(row)
        log.info("enqueued", job_key=job.key, task=job.function, queue=self.name)
        return job

    def _let_wait(self, row: Row) -> None:
        row.ticket = next(self._ids)
        self.waiting_rows.add(row)
        self._woken.set()

    async def _wait_and_claim(self, room: int) -> list[LeasedJob]:
        self._woken.clear()
        if claimed := self._claim(room):
            return claimed
        self.consumer.is_idle.set()
        waiting = [each.waiting_rows for each in self.all]
        seconds = min(CLAIM_SECONDS, *(each.seconds_to_next() for each in waiting))
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        return self._claim(room)

    def _claim(self, room: int) -> list[LeasedJob]:
        if self._order is None:
            self._order = FetchOrder(self.served)
        self._order.paused = self.paused
        names = self._order.names
        shares = dict(zip(names, self._order.shares(names, room), strict=True))
        claimed: list[LeasedJob] = []
        for name, share in shares.items():
            claimed += self.named(name).take_rows(share)
        for name in names:
            claimed += self.named(name).take_rows(room - len(claimed))
        self._order.note(shares, Counter(job.get_queue().name for job in claimed))
        return self._order.sorted(claimed)

    def take_rows(self, room: int) -> list[LeasedJob]:
        if room <= 0:
            return []
        busy = {row.job.group_key for row in self.rows.values() if row.runs}
        return [row.claim(self.owner) for row in self.waiting_rows.take(room, busy)]

    async def _find_aborted(self, keys: list[str]) -> set[str]:
        found = (each.rows.get(key) for each in self.all for key in keys)
        return {row.job.key for row in found if row and row.job.status is Status.ABORTING}

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0: no limit)."""
        job = await self.consumer.next_job(timeout)
        if job is not None:
            job.attempts -= 1  # the claim has counted it, and SAQ's worker counts it again
            job.is_dequeued = True
        return job

    def write_outcome(
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
        if (home := self._home(job)) is not self:
            how = {"error": error, "result": result, "delay": delay, "refund": refund}
            home.write_outcome(job, status, **how)
            return
        held = self.own_run(job)
        row = self.rows.get(job.key)
        if held is None or row is None or row.job.lease != held.lease or not row.runs:
            log.warning("not held here; its outcome is dropped", job_key=job.key)
            return
        self.consumer.release(held)
        stored = row.job
        if stored.status is Status.ABORTING and status in (Status.QUEUED, Status.ABORTED):
            status, error = Status.ABORTED, stored.error or error
        if status is Status.QUEUED and error is not None:
            row.keep_attempt("handed back" if refund else "failed", error)
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
            del self.rows[job.key]

    async def _write_end(self, job: Job, status: Status, result: Any, error: str | None) -> None:
        as_json = msgspec.json.decode(msgspec.json.encode(result))
        self.write_outcome(job, status, error=error, result=as_json)
        job.status, job.result, job.error, job.completed = status, as_json, error, now()

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again.

        A job that runs in this process is queued again after its retry delay. Any other must have
        ended, else `JobStateError` is raised. Raises `JobNotFoundError` where there is none.
        """
        if held := self.dequeued_run(job):
            if held.is_dequeued and await self.defer_unknown(held, error):
                return
            self.write_outcome(held, Status.QUEUED, error=error, delay=retry_delay(held))
            self.retried += 1
        elif (home := self._home(job)) is not self:
            await home.retry(job, error)
        else:
            row = self.rows.get(job.key)
            if row is None:
                raise JobNotFoundError(job.key)
            if not row.has_ended:
                raise JobStateError(
                    job.key, row.job.status.value, "only an ended job can be retried"
                )
            row.keep_end()
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
            self.write_outcome(job, Status.QUEUED, error=error, delay=delay, refund=1)

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobNotFoundError`, and `JobStateError` where it has ended.
        """
        if (home := self._home(job)) is not self:
            return await home.abort(job, error, ttl)
        row = self.rows.get(job.key)
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
        return None

    async def pause(self) -> None:
        self.paused.add(self.name)

    async def resume(self) -> None:
        self.paused.discard(self.name)
        self._woken.set()

    async def live_workers(self) -> dict[str, int]:
        return {self.worker_pool: int(self.consumer.is_started)}

    async def note_runs(self, complete: int, failed: int, retried: int) -> None:
        minute = datetime.now(UTC).replace(second=0, microsecond=0)
        self._runs[minute] += Counter(complete=complete, failed=failed, retried=retried)
        for old in list(self._runs)[:-RUNS_MAX]:
            del self._runs[old]

    async def read_runs(self, hours: float) -> list[MinuteRuns]:
        since = datetime.now(UTC) - timedelta(hours=hours)
        return [
            MinuteRuns(minute=minute, **{name: found[name] for name in RUNS})
            for minute, found in self._runs.items()
            if minute > since
        ]

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
            for key, row in self.rows.items()
            if row.job.status is status and task in (None, row.job.function)
        ][:BULK_JOBS]
        for key in found:
            del self.rows[key]
        return len(found)

    async def prune(self) -> int:
        excess = len(self.history) - HISTORY_MAX
        ended = [row for row in self.history.values() if row.has_ended][: max(excess, 0)]
        for row in ended:
            del self.history[row.id]
        too_old, pruned = {row.id for row in ended}, len(ended)
        for each in self.all:
            rows = each.rows
            for row in list(rows.values()):
                is_expired = row.expires_at is not None and row.expires_at < time.time()
                if is_expired or row.id in too_old:
                    del rows[row.job.key]
                    pruned += row.id not in too_old
        return pruned

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        self.workers[worker_id] = (time.time() + ttl, info)

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """Store a held job's progress and meta, or a waiting job's payload; never its status."""
        if (home := self._home(job)) is not self:
            return await home._update(job, status, **kwargs)  # noqa: SLF001 - one of these
        row = self.rows.get(job.key)
        if row is None:
            return None
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
        return None
