"""Reads the history of jobs, `background_jobs`: a view (0016_view_history.sql).

It is the rows of `saq_jobs` and the archive of those that were deleted.
"""

import asyncio
from dataclasses import fields

import asyncpg

from service.queue.attempts import Attempt
from service.queue.causes import JOBS_MAX, LINE_MAX_CHARACTERS, Causes, Line, group, last_line
from service.queue.job import JobRecord
from service.queue.relatives import CHILDREN_MAX, Relatives, relatives

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

# $1 the job's number: its parent's key
PARENT_OF = "SELECT parent FROM job_children WHERE child = $1"
# $1 the job's key, $2 its number, $3 how many: its children, the oldest first. A key that is used
# again had other children before.
CHILDREN = f"""
SELECT {", ".join(f"b.{found.name}" for found in fields(JobRecord))}
FROM (SELECT child FROM job_children WHERE parent = $1 AND child > $2
      ORDER BY child LIMIT $3) AS c,
     LATERAL (SELECT * FROM background_jobs WHERE id = c.child) AS b
ORDER BY b.id
"""


async def read_relatives(pool: asyncpg.Pool, job: JobRecord) -> Relatives:
    """Parent and children of a job, for as long as the history has them."""
    parent = await pool.fetchval(PARENT_OF, job.id)
    rows = await pool.fetch(CHILDREN, job.key, job.id, CHILDREN_MAX + 1)
    return relatives(parent, [JobRecord(**row) for row in rows])


# $1 how many jobs to look at, then of which task: the failed and aborted ones, by the last line of
# their error. With each row how many there were. The error's end is enough: a line may be long.
_CAUSES = f"""
WITH newest AS MATERIALIZED (
    SELECT id, task, status, key, coalesce(finished_at, created_at) AS at,
           split_part(rtrim(right(error, {2 * LINE_MAX_CHARACTERS}), E' \\n\\r\\t'), E'\\n', -1)
               AS line
    FROM background_jobs WHERE {{index}} ORDER BY id DESC LIMIT $1
)
SELECT task, status, coalesce(line, '') AS line, count(*) AS jobs, min(at) AS first_at,
       max(at) AS last_at, max(id) AS last_id, (array_agg(key ORDER BY id DESC))[1] AS last_key
FROM newest GROUP BY task, status, line
"""
CAUSES = _CAUSES.format(index="is_bad")
# as in 0022_search_jobs.sql
CAUSES_OF_TASK = _CAUSES.format(index="(CASE WHEN is_bad THEN task END) = $2")


async def read_causes(pool: asyncpg.Pool, task: str | None) -> Causes:
    """Why the newest failed and aborted jobs of all queues have ended."""
    if task is None:
        rows = await pool.fetch(CAUSES, JOBS_MAX)
    else:
        rows = await pool.fetch(CAUSES_OF_TASK, JOBS_MAX, task)
    # up to a tenth of a second, which other requests need not wait for
    return await asyncio.to_thread(_causes, rows)


def _causes(rows: list[asyncpg.Record]) -> Causes:
    lines = [Line(**{**row, "line": last_line(row["line"])}) for row in rows]
    looked_at = sum(each.jobs for each in lines)
    return Causes(items=group(lines), looked_at=looked_at, is_whole=looked_at < JOBS_MAX)


async def read_attempts(pool: asyncpg.Pool, id_: int) -> list[Attempt]:
    """The attempts of the job with that number, but for the last one."""
    return [Attempt(**row) for row in await pool.fetch(ATTEMPTS, id_)]


async def find_job(pool: asyncpg.Pool, queue: str, key: str) -> JobRecord | None:
    """The newest job with that key, or None."""
    row = await pool.fetchrow(FIND, key, queue)
    return JobRecord(**row) if row else None
