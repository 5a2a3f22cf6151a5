"""Reads the history of jobs, `background_jobs`. Triggers write it (0003_track_jobs.sql)."""

from dataclasses import fields

import asyncpg

from service.contract import QUEUE_NAME
from service.queue.job import BAD, JobRecord

COLUMNS = ", ".join(found.name for found in fields(JobRecord))


# for the planner: makes the index of the other queues' jobs fit
OTHER_QUEUE = f"queue <> '{QUEUE_NAME}'"


async def find_job(pool: asyncpg.Pool, queue: str, key: str) -> JobRecord | None:
    """The newest job with that key, or None."""
    row = await pool.fetchrow(
        f"SELECT {COLUMNS} FROM background_jobs WHERE key = $1 AND queue = $2"
        " ORDER BY id DESC LIMIT 1",
        key,
        queue,
    )
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
    statement = listing(*given, is_bad=status in BAD, is_other=queue not in (None, QUEUE_NAME))
    rows = await pool.fetch(statement, *given.values(), limit)
    return [JobRecord(**row) for row in rows]


def listing(*given: str, is_bad: bool, is_other: bool = False) -> str:
    """The statement of `list_jobs`: the given filters in their order, and the limit last.

    A filter that is not given has no condition, because one plan for all cases would use no index.
    """
    conditions = {"queue": "queue =", "status": "status =", "task": "task =", "before": "id <"}
    wanted = [f"{conditions[name]} ${place}" for place, name in enumerate(given, start=1)]
    if is_bad:
        # Makes the planner use the index of bad jobs, which are few. The index of tasks holds all
        # jobs of a task; IS NOT DISTINCT FROM keeps the planner from it.
        wanted = [each.replace("task =", "task IS NOT DISTINCT FROM") for each in wanted]
        wanted.append("is_bad")
    elif is_other:
        wanted.append(OTHER_QUEUE)
    where = f" WHERE {' AND '.join(wanted)}" if wanted else ""
    return f"SELECT {COLUMNS} FROM background_jobs{where} ORDER BY id DESC LIMIT ${len(given) + 1}"
