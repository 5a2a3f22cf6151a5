"""Deletes ended jobs and history that have expired, a thousand rows at a time."""

import structlog
from saq import Job, Status

from service.queue.interface import BULK_JOBS
from service.queue.postgres import inspection
from service.queue.postgres import statements as sql
from service.queue.tables.table_queue import TableQueue
from service.queue.tables.table_statements import PRUNE_HISTORY, PRUNE_ROWS, PRUNE_WORKERS

log = structlog.stdlib.get_logger("queue")


async def prune(queue: TableQueue) -> int:
    """Delete ended jobs and history that have expired. Returns how many."""
    for row in await queue.fetch(sql.RESCUE_FROM_STOCK, queue.names):
        log.warning("took a job from a dead SAQ worker", job_key=row["key"])
    deleted = 0
    for statement in (
        sql.PRUNE_JOBS,
        PRUNE_HISTORY,
        PRUNE_WORKERS,
        sql.PRUNE_STATS,
    ):
        while gone := len(await queue.fetch(statement)):
            deleted += gone
            if gone < PRUNE_ROWS:
                break
    return deleted


async def retained(queue: TableQueue, status: Status, task: str | None) -> list[Job]:
    """At most a thousand kept jobs with that status, newest first."""
    found = await queue.fetch(sql.KEPT, queue.name, status.value, task, BULK_JOBS)
    return list(inspection.load_all(queue, found))


async def clear(queue: TableQueue, status: Status, task: str | None) -> int:
    """Delete at most a thousand jobs with that status. Returns how many."""
    return len(await queue.fetch(sql.CLEAR, queue.name, status.value, task, BULK_JOBS))
