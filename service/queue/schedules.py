"""Recurring jobs as rows of `recurring_jobs`: declared in code or created through the API."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import asyncpg
import msgspec
from msgspec import Meta

from service.queue.cron import Timing, TimingError
from service.queue.dispatch import build_job
from service.queue.errors import (
    InvalidOptionError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
)

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue

SCHEDULES_MAX = 1000  # of one queue

COLUMNS = """
    r.name, r.task, r.cron, r.every_seconds, r.tz, r.payload, r.is_unique, r.is_declared,
    r.is_enabled, CASE WHEN r.is_enabled THEN r.next_run_at END AS next_run_at, r.last_key,
    b.scheduled_at AS last_run_at, b.status AS last_status,
    coalesce(r.last_error, b.error) AS last_error
"""
# the newest job of that key
LAST_JOB = """
    LEFT JOIN LATERAL (SELECT scheduled_at, status, error FROM background_jobs
                       WHERE key = r.last_key ORDER BY id DESC LIMIT 1) b ON TRUE
"""
LIST = f"""
SELECT {COLUMNS} FROM recurring_jobs r {LAST_JOB}
WHERE r.queue = $1 AND ($2::text IS NULL OR r.name = $2) ORDER BY r.name
"""
# $1 queue, then as the columns come. Nothing where the name is taken.
CREATE = f"""
INSERT INTO recurring_jobs (queue, name, task, cron, every_seconds, tz, payload, is_unique,
                            is_declared, is_enabled, next_run_at)
SELECT $1, $2, $3, $4, $5, $6, $7::jsonb, $8, FALSE, $9, to_timestamp($10)
WHERE (SELECT count(*) FROM recurring_jobs WHERE queue = $1) < {SCHEDULES_MAX}
ON CONFLICT (queue, name) DO NOTHING RETURNING name
"""
# $3 is the tick after now: what was missed while it was disabled does not come.
ENABLE = """
UPDATE recurring_jobs SET is_enabled = TRUE,
    next_run_at = CASE WHEN is_enabled THEN next_run_at ELSE to_timestamp($3) END
WHERE queue = $1 AND name = $2 RETURNING name
"""
DISABLE = (
    "UPDATE recurring_jobs SET is_enabled = FALSE WHERE queue = $1 AND name = $2 RETURNING name"
)
DELETE = (
    "DELETE FROM recurring_jobs WHERE queue = $1 AND name = $2 AND NOT is_declared RETURNING name"
)


class ScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recurring job to create."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
    """Letters, digits, dots, dashes and underscores; unique in the queue."""
    task: str
    cron: str | None = None
    """Five fields: minute hour day-of-month month day-of-week."""
    every: str | None = None
    """Instead of `cron`: `30 minutes`, `6 hours`, `1 day`."""
    tz: str = "UTC"
    """The zone a cron line is read in, such as `Europe/Berlin`."""
    payload: dict[str, Any] = {}
    unique: bool = False
    """Leave a tick out while the job of the one before waits or runs."""
    enabled: bool = True


@dataclass(frozen=True, kw_only=True)
class Recurring:
    """One recurring job as it stands; times by the database's clock."""

    name: str
    task: str
    cron: str | None
    every: str | None
    tz: str
    payload: dict[str, Any]
    is_unique: bool
    is_declared: bool  # in the code; else created through the API
    is_enabled: bool
    next_run_at: datetime | None  # None while disabled
    last_run_at: datetime | None  # when the last tick was due
    last_key: str | None  # the job of that tick
    last_status: str | None
    last_error: str | None  # of that job, or why there was none


async def list_schedules(queue: "PostgresQueue") -> list[Recurring]:
    """All of the queue, by name."""
    return [_read(row) for row in await queue.fetch(LIST, queue.name, None)]


async def find_schedule(queue: "PostgresQueue", name: str) -> Recurring:
    """The one of that name. Raises `ScheduleNotFoundError`."""
    for row in await queue.fetch(LIST, queue.name, name):
        return _read(row)
    raise ScheduleNotFoundError(name)


async def create_schedule(queue: "PostgresQueue", request: ScheduleRequest) -> Recurring:
    """Keep a new recurring job; its first tick is the next that comes.

    Raises `InvalidOptionError` for a wrong time, what `build_job` raises for a wrong task or
    payload, and `ScheduleExistsError`.
    """
    timing = _timing(request)
    job = build_job(queue.registry, request.task, request.payload)
    now = await queue.ticker.database_now()
    made = await queue.fetch(
        CREATE, queue.name, request.name, job.function, timing.cron, timing.every_seconds,
        timing.tz, msgspec.json.encode(job.kwargs).decode(), request.unique, request.enabled,
        timing.next_after(now),
    )  # fmt: skip
    if not made:
        taken = await queue.fetch(LIST, queue.name, request.name)
        if not taken:
            raise InvalidOptionError(
                "name", f"there are {SCHEDULES_MAX} schedules, the most allowed"
            )
        raise ScheduleExistsError(request.name)
    await queue.ticker.tell()
    return await find_schedule(queue, request.name)


async def enable_schedule(queue: "PostgresQueue", name: str) -> Recurring:
    """Let it come again, from its next tick on. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    timing = Timing.parse(cron=found.cron, every=found.every, tz=found.tz)
    now = await queue.ticker.database_now()
    await queue.fetch(ENABLE, queue.name, name, timing.next_after(now))
    await queue.ticker.tell()
    return await find_schedule(queue, name)


async def disable_schedule(queue: "PostgresQueue", name: str) -> Recurring:
    """Let it come no more; a deployment does not change that. Raises `ScheduleNotFoundError`."""
    if not await queue.fetch(DISABLE, queue.name, name):
        raise ScheduleNotFoundError(name)
    return await find_schedule(queue, name)


async def delete_schedule(queue: "PostgresQueue", name: str) -> None:
    """Forget it. Raises `ScheduleNotFoundError`, and `ScheduleIsDeclaredError` for the code's."""
    if not await queue.fetch(DELETE, queue.name, name):
        await find_schedule(queue, name)
        raise ScheduleIsDeclaredError(name)


async def run_schedule_now(queue: "PostgresQueue", name: str) -> str:
    """Enqueue one job of it beside its ticks; the job's key. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    job = build_job(queue.registry, found.task, found.payload)
    await queue.enqueue(job)
    return job.key


def _timing(request: ScheduleRequest) -> Timing:
    try:
        return Timing.parse(cron=request.cron, every=request.every, tz=request.tz)
    except TimingError as error:
        raise InvalidOptionError(error.field, error.problem) from None


def _read(row: asyncpg.Record) -> Recurring:
    values = dict(row.items())
    timing = Timing(values["cron"], values.pop("every_seconds"), values["tz"])
    values["payload"] = msgspec.json.decode(values["payload"])
    return Recurring(every=timing.every, **values)
