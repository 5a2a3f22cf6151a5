"""Reads of a queue, in bounded pages: its jobs, its figures, and what SAQ's web page shows."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import structlog
from saq import Job, Status
from saq.queue.base import Queue
from saq.types import CountKind, QueueInfo

from service.db import Connection
from service.queue import job_blob
from service.queue.interface import PAGE_ROWS
from service.queue.job import JobRecord, LeasedJob, MalformedJobError, page_row
from service.queue.postgres import statements as sql
from service.queue.postgres.surroundings import AROUND
from service.queue.reads import QueueStats
from service.queue.tables.table_queue import TableQueue
from service.queue.waiting import Surroundings

log = structlog.stdlib.get_logger("queue")


class PostgresReads(TableQueue):
    """The read-only part of the Postgres queue."""

    async def job(self, job_key: str) -> Job | None:
        """The job with that key, or None."""
        (job,) = await self.jobs([job_key])
        return job

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        """The jobs with these keys, in their order; None for a key that is not in this queue."""
        keys, queues = list(job_keys), self.searched
        stored = {each for key in keys for each in (key, *(q.own_key(key) for q in queues))}
        rows = await self.fetch(sql.GET, [queue.name for queue in queues], list(stored))
        found: dict[tuple[str, str], Job] = {}
        for queue in queues:
            for job in load_all(queue, [row for row in rows if row["queue"] == queue.name]):
                found[queue.name, job.key] = queue.marked_if_swept(job)
        return [
            next(
                (
                    found[queue.name, each]
                    for queue in queues
                    for each in (queue.own_key(key), key)
                    if (queue.name, each) in found
                ),
                None,
            )
            for key in keys
        ]

    async def iter_jobs(
        self, statuses: Iterable[Status] = tuple(Status), batch_size: int = 100
    ) -> AsyncIterator[Job]:
        """Every job in one of `statuses`, in the order of the keys, read `batch_size` at a time."""
        last_key = ""
        wanted = [Status(status).value for status in statuses]
        while rows := await self.fetch(sql.ITERATE, self.name, wanted, last_key, batch_size):
            for job in load_all(self, rows):
                yield job
            last_key = rows[-1]["key"]

    async def get_job_status(
        self, key: str, for_update: bool = False, connection: Connection | None = None
    ) -> Status | None:
        """The status of the job with that key, or None. `for_update` locks its row."""
        lock = " FOR UPDATE" if for_update else ""
        for queue in self.searched:
            own = queue.own_key(key)
            found = await self.fetch(sql.STATUS + lock, queue.name, own, connection=connection)
            if found:
                return Status(found[0]["status"])
        return None

    async def stats(self) -> QueueStats:
        """The queue's figures now, in one statement."""
        (row,) = await self.fetch(sql.STATS, self.name)
        return QueueStats(**row)

    async def around(self, record: JobRecord) -> Surroundings | None:
        rows = await self.fetch(AROUND, record.id)
        return Surroundings(**rows[0]) if rows else None

    async def count(self, kind: CountKind) -> int:
        """How many jobs are due ("queued"), run ("active"), or have not ended ("incomplete")."""
        stats = await self.stats()
        if kind == "queued":
            return stats.queued
        if kind == "active":
            return stats.active
        return stats.queued + stats.active + stats.scheduled

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's page shows; with `jobs`, at most `limit` running, waiting and failed each."""
        stats = await self.stats()
        workers = await self.fetch(sql.WORKERS, self.name)
        page: list[dict[str, Any]] = []
        if jobs:
            found = await self.fetch(sql.PAGE, self.name, min(limit, PAGE_ROWS), offset)
            page = [page_row(job) for job in load_all(self, found)]
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


def load_all(queue: Queue, found: Iterable[asyncpg.Record]) -> list[LeasedJob]:
    """The jobs of these rows, without the malformed ones, which are logged."""
    jobs = []
    for row in found:
        try:
            jobs.append(job_blob.load(row, queue))
        except MalformedJobError as error:
            log.warning("malformed job", job_key=row["key"], error=str(error))
    return jobs
