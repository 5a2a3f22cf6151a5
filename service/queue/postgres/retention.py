"""Deletes ended jobs and history that have expired, a thousand rows at a time."""

import structlog
from saq import Job, Status

from service.queue.interface import BULK_JOBS
from service.queue.postgres import inspection
from service.queue.postgres import statements as sql
from service.queue.postgres.statements import BAD, ENDED, JOB_COLUMNS, NOW
from service.queue.tables.table_queue import TableQueue
from service.queue.tables.table_statements import PRUNE_HISTORY, PRUNE_ROWS, PRUNE_WORKERS

# Deletes expired jobs, some rows at a time so that no statement takes long.
PRUNE_JOBS = f"""
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE status IN {ENDED} AND expire_at <= {NOW}
    LIMIT {PRUNE_ROWS} FOR UPDATE SKIP LOCKED)
RETURNING 1
"""

PRUNE_STATS = f"DELETE FROM saq_stats WHERE expire_at < {NOW} RETURNING 1"

# $1 queue, $2 failed or aborted, $3 a task or NULL, $4 how many: deletes such jobs before they
# expire, the newest first.
CLEAR = f"""
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE queue = $1 AND status = $2 AND status IN {BAD}
      AND ($3::text IS NULL OR task = $3)
    ORDER BY background_job_id DESC LIMIT $4 FOR UPDATE SKIP LOCKED)
RETURNING 1
"""

KEPT = f"""
SELECT {JOB_COLUMNS} FROM saq_jobs j WHERE queue = $1 AND status = $2 AND status IN {BAD}
  AND ($3::text IS NULL OR task = $3)
ORDER BY background_job_id DESC LIMIT $4
"""

log = structlog.stdlib.get_logger("queue")


async def prune(queue: TableQueue) -> int:
    """Delete ended jobs and history that have expired. Returns how many."""
    for row in await queue.fetch(sql.RESCUE_FROM_STOCK, queue.names):
        log.warning("took a job from a dead SAQ worker", job_key=row["key"])
    deleted = 0
    for statement in (
        PRUNE_JOBS,
        PRUNE_HISTORY,
        PRUNE_WORKERS,
        PRUNE_STATS,
    ):
        while gone := len(await queue.fetch(statement)):
            deleted += gone
            if gone < PRUNE_ROWS:
                break
    return deleted


async def retained(queue: TableQueue, status: Status, task: str | None) -> list[Job]:
    """At most a thousand kept jobs with that status, newest first."""
    found = await queue.fetch(KEPT, queue.name, status.value, task, BULK_JOBS)
    return list(inspection.load_all(queue, found))


async def clear(queue: TableQueue, status: Status, task: str | None) -> int:
    """Delete at most a thousand jobs with that status. Returns how many."""
    return len(await queue.fetch(CLEAR, queue.name, status.value, task, BULK_JOBS))
