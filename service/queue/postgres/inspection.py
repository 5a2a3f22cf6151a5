"""Reads of a queue, in bounded pages: its jobs, its figures, and what SAQ's web page shows."""

import json
from collections.abc import AsyncIterator, Iterable
from typing import Any

import asyncpg
import structlog
from saq import Job, Status
from saq.queue.base import Queue
from saq.types import CountKind, QueueInfo

from service import contract
from service.db import Connection
from service.queue import job_blob
from service.queue.interface import PAGE_ROWS, QueueStats
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.postgres import statements as sql
from service.queue.tables.table_queue import TableQueue

log = structlog.stdlib.get_logger("queue")


class PostgresReads(TableQueue):
    """The read-only part of the Postgres queue."""

    async def job(self, job_key: str) -> Job | None:
        """The job with that key, or None."""
        (job,) = await self.jobs([job_key])
        return job

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        """The jobs with these keys, in their order; None for a key that is not in this queue."""
        keys = [(key, self._own_key(key)) for key in job_keys]
        either = list({name for pair in keys for name in pair})
        rows = await self.fetch(sql.GET, self.name, either)
        found = {job.key: job for job in load_all(self, rows)}
        jobs = [found.get(own) or found.get(key) for key, own in keys]
        return [self.marked_if_swept(job) if job else None for job in jobs]

    def _own_key(self, key: str) -> str:
        # Keys are unique in SAQ's table, across all queues. Here each queue has keys of its own:
        # in any but the default queue they start with the queue's name.
        prefix = f"{self.name}:"
        if self.name == contract.QUEUE_NAME or key.startswith(prefix):
            return key
        return prefix + key

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
        own = self._own_key(key)
        found = await self.fetch(sql.STATUS + lock, self.name, own, connection=connection)
        return Status(found[0]["status"]) if found else None

    async def stats(self) -> QueueStats:
        """The queue's figures now, in one statement."""
        (row,) = await self.fetch(sql.STATS, self.name)
        return QueueStats(**row)

    async def count(self, kind: CountKind) -> int:
        """How many jobs are due ("queued"), run ("active"), or have not ended ("incomplete")."""
        stats = await self.stats()
        if kind == "queued":
            return stats.queued
        if kind == "active":
            return stats.active
        return stats.queued + stats.active + stats.scheduled

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows; with `jobs`, at most `limit` running, waiting and failed each.

        Payloads are text, because the page would build HTML elements from an object's keys.
        """
        stats = await self.stats()
        workers = await self.fetch(sql.WORKERS, self.name)
        page: list[dict[str, Any]] = []
        if jobs:
            found = await self.fetch(sql.PAGE, self.name, min(limit, PAGE_ROWS), offset)
            page = [
                job.to_dict() | {"kwargs": repr(job.kwargs or {})} for job in load_all(self, found)
            ]
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
