"""Looking at a queue: its jobs, its figures and SAQ's web page, in bounded pages."""

import json
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import structlog
from saq import Job, Status
from saq.types import QueueInfo

from service.queue import job as rows
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.postgres import statements as sql

if TYPE_CHECKING:
    from service.queue.postgres.postgres_queue import PostgresQueue

PAGE_ROWS = 50  # of each kind of job on the job page

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


async def get_jobs(queue: "PostgresQueue", keys: list[str]) -> dict[str, LeasedJob]:
    """The queue's jobs of these keys, by key."""
    found = await queue.fetch(sql.GET, queue.name, keys)
    return {job.key: job for job in load_all(queue, found)}


async def iterate_jobs(
    queue: "PostgresQueue", statuses: Iterable[Status], batch_size: int
) -> AsyncIterator[Job]:
    """Every job in one of `statuses`, by key, `batch_size` rows at a time."""
    last_key = ""
    wanted = [Status(status).value for status in statuses]
    while found := await queue.fetch(sql.ITERATE, queue.name, wanted, last_key, batch_size):
        for job in load_all(queue, found):
            yield job
        last_key = found[-1]["key"]


async def get_stats(queue: "PostgresQueue") -> QueueStats:
    """How the queue stands now, in one statement."""
    (row,) = await queue.fetch(sql.STATS, queue.name)
    return QueueStats(**row)


async def get_info(
    queue: "PostgresQueue", *, with_jobs: bool, offset: int, limit: int
) -> QueueInfo:
    """What SAQ's web page shows; with jobs, at most `limit` running, waiting and failed each.

    Payloads come as text: the page would build HTML elements from an object's keys.
    """
    stats = await get_stats(queue)
    workers = await queue.fetch(sql.WORKERS, queue.name)
    page: list[dict[str, Any]] = []
    if with_jobs:
        found = await queue.fetch(sql.PAGE, queue.name, min(limit, PAGE_ROWS), offset)
        page = [
            job.to_dict() | {"kwargs": repr(job.kwargs or {})} for job in load_all(queue, found)
        ]
    return {
        "workers": {
            row["worker_id"]: {
                "stats": json.loads(row["stats"]),
                "metadata": json.loads(row["metadata"] or "null"),
                "queue_key": queue.name,
            }
            for row in workers
        },
        "name": queue.name,
        "queued": stats.queued,
        "active": stats.active,
        "scheduled": stats.scheduled,
        "jobs": page,
    }


def load_all(queue: "PostgresQueue", found: Iterable[asyncpg.Record]) -> list[LeasedJob]:
    """The jobs of rows; a malformed one is logged and left out."""
    jobs = []
    for row in found:
        try:
            jobs.append(rows.load(row, queue))
        except MalformedJobError as error:
            log.warning("malformed job", job_key=row["key"], error=str(error))
    return jobs
