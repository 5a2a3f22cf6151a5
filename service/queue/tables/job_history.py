"""Reads the history of jobs, `background_jobs`: a view (0016_view_history.sql).

It is the rows of `saq_jobs` and the archive of those that were deleted.
"""

from dataclasses import fields

import asyncpg

from service.queue.attempts import Attempt
from service.queue.job import JobRecord

COLUMNS = ", ".join(found.name for found in fields(JobRecord))
# MATERIALIZED, because the planner would rather go through all jobs, newest first, than sort one.
FIND = f"""
WITH found AS MATERIALIZED (SELECT * FROM background_jobs WHERE key = $1 AND queue = $2)
SELECT {COLUMNS} FROM found ORDER BY id DESC LIMIT 1
"""

# $1 the job's number: returns its earlier attempts, the oldest first
ATTEMPTS = """
SELECT attempt, nullif(worker_id, '') AS worker_id, started_at, ended_at, outcome, error
FROM job_attempts WHERE job_id = $1 ORDER BY id
"""


async def read_attempts(pool: asyncpg.Pool, id_: int) -> list[Attempt]:
    """The attempts of the job with that number, but for the last one."""
    return [Attempt(**row) for row in await pool.fetch(ATTEMPTS, id_)]


async def find_job(pool: asyncpg.Pool, queue: str, key: str) -> JobRecord | None:
    """The newest job with that key, or None."""
    row = await pool.fetchrow(FIND, key, queue)
    return JobRecord(**row) if row else None
