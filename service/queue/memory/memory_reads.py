"""Reads of a queue in memory: its jobs, its figures, and what SAQ's web page shows."""

import itertools
import time
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from saq import Job, Status
from saq.types import CountKind, QueueInfo, WorkerInfo

from service.queue.attempts import Attempt
from service.queue.broker_consumer import BrokerConsumer
from service.queue.broker_queue import BrokerQueue
from service.queue.causes import JOBS_MAX, Causes, Line, group, last_line
from service.queue.errors import WorkerNotFoundError, WorkerStateError
from service.queue.interface import PAGE_ROWS
from service.queue.job import BAD, JobRecord, page_row
from service.queue.job_filter import JobFilter, RecordPage
from service.queue.memory.memory_rows import Row, copy_of
from service.queue.reads import QueueStats
from service.queue.relatives import CHILDREN_MAX, Relatives, relatives
from service.queue.tasks.origin import parent_of
from service.queue.worker_record import WorkerRecord


class MemoryReads(BrokerQueue):
    """The read-only part of the queue in memory."""

    consumer: BrokerConsumer
    rows: dict[str, Row]  # by key, the newest; deleted after its ttl
    history: dict[int, Row]  # by id, of all queues
    paused: set[str]
    started_at: datetime
    workers: dict[str, tuple[float, WorkerInfo]]

    def _find(self, key: str) -> Row | None:
        found = (each.rows.get(each.own_key(key)) for each in self.searched)
        return next((row for row in found if row), None)

    async def job(self, job_key: str) -> Job | None:
        row = self._find(job_key)
        return self.marked_if_swept(copy_of(row.job)) if row else None

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        return [await self.job(key) for key in job_keys]

    async def iter_jobs(
        self, statuses: Iterable[Status] = tuple(Status), batch_size: int = 100
    ) -> AsyncIterator[Job]:
        wanted = set(statuses)
        for key in sorted(self.rows):
            if (row := self.rows.get(key)) and row.job.status in wanted:
                yield copy_of(row.job)

    async def find_record(self, key: str) -> JobRecord | None:
        if row := self._find(key):
            return row.record()
        keys = {each.own_key(key) for each in self.searched}
        found = (row for row in reversed(self.history.values()) if row.job.key in keys)
        return next((row.record() for row in found), None)

    async def _earlier_attempts(self, record: JobRecord) -> list[Attempt]:
        row = self.history.get(record.id)
        return [*row.earlier] if row else []

    async def _search(self, wanted: JobFilter, *, before: int | None, limit: int) -> RecordPage:
        queues = {wanted.queue} if wanted.queue else {each.name for each in self.searched}
        keys = self._stored_keys(wanted)
        found = (
            row.record()
            for row in reversed(self.history.values())
            if (before is None or row.id < before)
            and row.job.get_queue().name in queues
            and self._fits(row, wanted, keys)
        )
        records = list(itertools.islice(found, limit + 1))
        is_more = len(records) > limit
        return RecordPage(
            records=records[:limit], before=records[limit - 1].id if is_more else None
        )

    def _fits(self, row: Row, wanted: JobFilter, keys: list[str]) -> bool:
        record = row.record()
        is_kept = self.rows.get(record.key) is row
        if wanted.key_start is not None:
            has_key = record.key.startswith(tuple(keys))
        else:
            has_key = wanted.key is None or record.key in keys
        return (
            has_key
            and wanted.status in (None, record.status)
            and wanted.task in (None, record.task)
            and wanted.worker in (None, record.worker_id)
            and (wanted.since is None or record.created_at >= wanted.since)
            and (wanted.until is None or record.created_at < wanted.until)
            and (
                wanted.error is None
                or (record.status in BAD and wanted.error in (record.error or ""))
            )
            and all(is_kept and each.is_in(row.job.kwargs or {}) for each in wanted.payload)
        )

    async def relatives(self, record: JobRecord) -> Relatives:
        row = self.history.get(record.id)
        children = (
            each.record()
            for each in self.history.values()
            if parent_of(each.job) == record.key and each.id > record.id
        )
        parent = parent_of(row.job) if row else None
        return relatives(parent, list(itertools.islice(children, CHILDREN_MAX + 1)))

    async def causes(self, *, task: str | None = None) -> Causes:
        bad = [
            record
            for row in reversed(self.history.values())
            if (record := row.record()).status in BAD and task in (None, record.task)
        ]
        lines = [
            Line(
                task=each.task, status=each.status, line=last_line(each.error), jobs=1,
                first_at=at, last_at=at, last_id=each.id, last_key=each.key,
            )
            for each in bad[:JOBS_MAX]
            if (at := each.finished_at or each.created_at)
        ]  # fmt: skip
        return Causes(items=group(lines), looked_at=len(lines), is_whole=len(bad) <= JOBS_MAX)

    async def list_workers(self) -> list[WorkerRecord]:
        if not self.consumer.is_started:
            return []
        only = WorkerRecord(
            id=self.owner,
            pool=self.worker_pool,
            queues=self.served.names,
            started_at=self.started_at,
            release=None,
            slots=self.slots,
            can_drain=False,  # the jobs would go with the process
            is_draining=False,
        )
        return [only]

    async def drain_worker(self, name: str) -> None:
        if name == self.owner and self.consumer.is_started:
            raise WorkerStateError(name)
        raise WorkerNotFoundError(name)

    async def stats(self) -> QueueStats:
        waiting = [row for row in self.rows.values() if row.job.status is Status.QUEUED]
        due = [time.time() - row.due_at for row in waiting if row.due_at <= time.time()]
        return QueueStats(
            queued=len(due),
            scheduled=len(waiting) - len(due),
            active=sum(row.runs for row in self.rows.values()),
            failed=sum(row.job.status is Status.FAILED for row in self.rows.values()),
            workers=int(self.consumer.is_started and self.name in self.served.names),
            oldest_due_seconds=max(due, default=0.0),
            is_paused=self.name in self.paused,
        )

    async def count(self, kind: CountKind) -> int:
        stats = await self.stats()
        if kind == "queued":
            return stats.queued
        return stats.active + (0 if kind == "active" else stats.queued + stats.scheduled)

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows: payloads as text, at most `limit` jobs."""
        stats = await self.stats()
        kinds = [row for row in self.rows.values() if row.job.status is not Status.COMPLETE]
        page = kinds[offset : offset + min(limit, PAGE_ROWS)] if jobs else []
        return {
            "workers": {
                key: info for key, (until, info) in self.workers.items() if until > time.time()
            },
            "name": self.name,
            "queued": stats.queued,
            "active": stats.active,
            "scheduled": stats.scheduled,
            "jobs": [page_row(row.job) for row in page],
        }
