"""Reads the history of jobs, `background_jobs`: a view (0016_view_history.sql).

It is the rows of `saq_jobs` and the archive of those that were deleted. A statement here reads both
in the order of an index, so that a page costs the same however much they hold.
"""

from dataclasses import fields

import asyncpg

from service.contract import QUEUE_NAME
from service.queue.job import BAD, JobRecord

COLUMNS = ", ".join(found.name for found in fields(JobRecord))
RUNNING = ("active", "aborting")
OPEN = ("new", "queued", *RUNNING)
# MATERIALIZED, because the planner would rather go through all jobs, newest first, than sort one.
FIND = f"""
WITH found AS MATERIALIZED (SELECT * FROM background_jobs WHERE key = $1 AND queue = $2)
SELECT {COLUMNS} FROM found ORDER BY id DESC LIMIT 1
"""

# What may run: of Redis it is in the archive.
HELD = """
    SELECT unnest(jobs) FROM queue_claims UNION SELECT id FROM job_archive WHERE finished_at IS NULL
"""
# for the planner: makes the index of the other queues' jobs fit
OTHER_QUEUE = f"queue <> '{QUEUE_NAME}'"


async def find_job(pool: asyncpg.Pool, queue: str, key: str) -> JobRecord | None:
    """The newest job with that key, or None."""
    row = await pool.fetchrow(FIND, key, queue)
    return JobRecord(**row) if row else None


async def list_jobs(
    pool: asyncpg.Pool,
    queue: str | None,
    *,
    status: str | None = None,
    task: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[JobRecord]:
    """At most `limit` jobs, newest first, older than the job with the id `before`."""
    asked = {"queue": queue, "status": status, "task": task, "before": before}
    given = {name: value for name, value in asked.items() if value is not None}
    statement = listing(*given, status=status, is_other=queue not in (None, QUEUE_NAME))
    rows = await pool.fetch(statement, *given.values(), limit)
    return [JobRecord(**row) for row in rows]


def listing(*given: str, status: str | None = None, is_other: bool = False) -> str:
    """The statement of `list_jobs`: the given filters in their order, and the limit last.

    A filter that is not given has no condition, because one plan for all cases would use no index.
    """
    conditions = {"queue": "queue =", "status": "status =", "task": "task =", "before": "id <"}
    wanted = [f"{conditions[name]} ${place}" for place, name in enumerate(given, start=1)]
    if status in OPEN:
        wanted.append("finished_at IS NULL")  # of the archive almost nothing
    if status in BAD:
        # Makes the planner use the indexes of bad jobs, which are few. Those of tasks hold all
        # jobs of a task; IS NOT DISTINCT FROM keeps the planner from them.
        wanted = [each.replace("task =", "task IS NOT DISTINCT FROM") for each in wanted]
        wanted.append("is_bad")
    elif is_other:
        wanted.append(OTHER_QUEUE)
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    order = f" ORDER BY id DESC LIMIT ${len(given) + 1}"
    if status in RUNNING:
        # Few, wherever they are among the others: read whole, by the claims that hold them.
        found = f"SELECT * FROM background_jobs WHERE status IN {RUNNING} AND finished_at IS NULL"
        return (
            f"WITH running AS MATERIALIZED ({found} AND id = ANY (ARRAY ({HELD})))"
            f" SELECT {COLUMNS} FROM running{where}{order}"
        )
    return f"SELECT {COLUMNS} FROM background_jobs{where}{order}"
