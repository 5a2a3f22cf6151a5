"""Deletes ended jobs and history that have expired, a thousand rows at a time."""

import random

import structlog
from saq import Job, Status

from service.queue.interface import BULK_JOBS
from service.queue.postgres import inspection
from service.queue.postgres import statements as sql
from service.queue.postgres.statements import ENDED, JOB_COLUMNS, NOW
from service.queue.tables.table_queue import TableQueue
from service.queue.tables.table_statements import (
    PRUNE_ATTEMPTS,
    PRUNE_CHILDREN,
    PRUNE_HISTORY,
    PRUNE_ROWS,
    PRUNE_RUNS,
    PRUNE_WORKERS,
)

# $1 a job's number: deletes those of the next thousand jobs that have expired. Returns how many
# there were, how many are deleted, and the number of the last. No index holds when jobs expire: it
# would get an entry for each job that ends.
PRUNE_JOBS = f"""
WITH part AS MATERIALIZED (
    SELECT key, background_job_id AS number, status, expire_at FROM saq_jobs
    WHERE background_job_id > $1 ORDER BY background_job_id LIMIT {PRUNE_ROWS}
), expired AS MATERIALIZED (
    SELECT j.key FROM part JOIN saq_jobs j ON j.key = part.key
    WHERE part.status IN {ENDED} AND part.expire_at <= {NOW}
      AND j.status IN {ENDED} AND j.expire_at <= {NOW}
    FOR UPDATE OF j SKIP LOCKED
), deleted AS (
    DELETE FROM saq_jobs j USING expired WHERE j.key = expired.key RETURNING 1
)
SELECT (SELECT count(*) FROM part) AS read, (SELECT count(*) FROM deleted) AS deleted,
       (SELECT max(number) FROM part) AS last
"""
NUMBERS = """
SELECT coalesce(min(background_job_id), 0) AS first, coalesce(max(background_job_id), 0) AS last
FROM saq_jobs
"""
PARTS_MAX = 20  # without an expired job, before the rest waits for the next minute

# Claims whose jobs have all ended: of a worker that died, or that did not get an answer.
PRUNE_CLAIMS = f"""
DELETE FROM queue_claims WHERE (owner, id) IN (
    SELECT c.owner, c.id FROM queue_claims c
    WHERE NOT EXISTS (SELECT FROM saq_jobs j
                      WHERE j.background_job_id = ANY (c.jobs) AND j.claim = c.id
                        AND j.status IN ('active', 'aborting'))
    LIMIT {PRUNE_ROWS} FOR UPDATE SKIP LOCKED)
RETURNING 1
"""

PRUNE_STATS = f"DELETE FROM saq_stats WHERE expire_at < {NOW} RETURNING 1"

# $1 queue, $2 failed or aborted, $3 a task or NULL, $4 how many: deletes such jobs before they
# expire, the newest first.
CLEAR = """
DELETE FROM saq_jobs WHERE key IN (
    SELECT key FROM saq_jobs WHERE queue = $1 AND status = $2 AND is_bad
      AND ($3::text IS NULL OR task = $3)
    ORDER BY background_job_id DESC LIMIT $4 FOR UPDATE SKIP LOCKED)
RETURNING 1
"""

KEPT = f"""
SELECT {JOB_COLUMNS} FROM saq_jobs j WHERE queue = $1 AND status = $2 AND is_bad
  AND ($3::text IS NULL OR task = $3)
ORDER BY background_job_id DESC LIMIT $4
"""

log = structlog.stdlib.get_logger("queue")


class Pruner:
    """Deletes what has expired.

    Jobs expire about in the order of their numbers. So each time it begins where it has found
    expired ones before, and it also goes on in a round over all jobs, by twenty thousand or more.
    """

    def __init__(self, queue: TableQueue) -> None:
        self._queue = queue
        # Below the number of the first expired job: of the oldest ones, and where the round has
        # found some behind jobs that are kept for longer.
        self._oldest = self._behind = 0
        # The number of the last job that the round has come to. It begins anywhere, because this
        # process may end long before the round is over.
        self._round: int | None = None

    async def prune(self) -> int:
        """Delete ended jobs, history and records of workers that have expired. Returns how many."""
        queue = self._queue
        for row in await queue.fetch(sql.RESCUE_FROM_STOCK, queue.names):
            log.warning("took a job from a dead SAQ worker", job_key=row["key"])
        if self._round is None:
            (row,) = await queue.fetch(NUMBERS)
            self._round = random.randint(row["first"], row["last"])  # noqa: S311 - no secret
        deleted, oldest, _ = await self._delete_jobs(self._oldest)
        more, behind, _ = await self._delete_jobs(self._behind)
        most, found, self._round = await self._delete_jobs(self._round)
        self._oldest = self._oldest if oldest is None else oldest
        self._behind = next((each for each in (found, behind) if each is not None), self._behind)
        deleted += more + most
        await queue.fetch(PRUNE_CLAIMS)
        for statement in (
            PRUNE_HISTORY, PRUNE_ATTEMPTS, PRUNE_CHILDREN, PRUNE_WORKERS, PRUNE_RUNS, PRUNE_STATS,
        ):  # fmt: skip
            while gone := len(await queue.fetch(statement)):
                deleted += gone
                if gone < PRUNE_ROWS:
                    break
        return deleted

    async def _delete_jobs(self, after: int) -> tuple[int, int | None, int]:
        """Delete expired jobs with higher numbers than `after`, until many parts had none.

        Returns how many, the number before the first of them, and where to go on: 0 at the end.
        """
        deleted, first, in_vain = 0, None, 0
        while in_vain < PARTS_MAX:
            (part,) = await self._queue.fetch(PRUNE_JOBS, after)
            if part["deleted"]:
                deleted += part["deleted"]
                first = after if first is None else first
                in_vain = 0
            else:
                in_vain += 1
            if part["read"] < PRUNE_ROWS:
                return deleted, first, 0
            after = part["last"]
        return deleted, first, after


async def retained(queue: TableQueue, status: Status, task: str | None) -> list[Job]:
    """At most a thousand kept jobs with that status, newest first."""
    found = await queue.fetch(KEPT, queue.name, status.value, task, BULK_JOBS)
    return list(inspection.load_all(queue, found))


async def clear(queue: TableQueue, status: Status, task: str | None) -> int:
    """Delete at most a thousand jobs with that status. Returns how many."""
    return len(await queue.fetch(CLEAR, queue.name, status.value, task, BULK_JOBS))
