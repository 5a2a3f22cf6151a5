"""The history of every job: `background_jobs`, kept by triggers (0003_track_jobs.sql)."""

from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

STATUSES = ("queued", "active", "aborting", "complete", "failed", "aborted")  # SAQ's words
BAD = ("failed", "aborted")


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job from queued to ended, as its history has it; kept after its payload is gone."""

    id: int  # grows with time; the cursor of a listing
    key: str
    queue: str
    task: str
    status: str
    attempts: int
    crashes: int  # workers that died while running it
    error: str | None  # of the last attempt that failed
    worker_id: str | None
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime | None  # of the last attempt
    finished_at: datetime | None


COLUMNS = ", ".join(found.name for found in fields(JobRecord))


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
    queue: str,
    *,
    status: str | None = None,
    task: str | None = None,
    before: int | None = None,
    limit: int = 50,
) -> list[JobRecord]:
    """At most `limit` jobs, newest first, older than the job with the id `before`."""
    rows = await pool.fetch(
        f"SELECT {COLUMNS} FROM background_jobs WHERE queue = $1"
        " AND ($2::text IS NULL OR status = $2) AND ($3::text IS NULL OR task = $3)"
        # for the index: what failed is rare, and looked for when it matters
        f" AND ($4::bigint IS NULL OR id < $4) {'AND is_bad' if status in BAD else ''}"
        " ORDER BY id DESC LIMIT $5",
        queue,
        status,
        task,
        before,
        limit,
    )
    return [JobRecord(**row) for row in rows]
