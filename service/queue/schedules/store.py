"""The schedules of a queue in Postgres: rows of `recurring_jobs`."""

import asyncpg
import msgspec

from service.queue.cron import Timing
from service.queue.schedule_record import SCHEDULES_MAX, NewSchedule, ScheduleRecord
from service.queue.tables.connections import Database

COLUMNS = """
    r.name, r.task, r.cron, r.every_seconds, r.tz, r.payload, r.is_unique, r.is_declared,
    r.is_enabled, CASE WHEN r.is_enabled THEN r.next_run_at END AS next_run_at, r.last_key,
    b.scheduled_at AS last_run_at, b.status AS last_status,
    coalesce(r.last_error, b.error) AS last_error
"""
# the newest job of that key; MATERIALIZED for the same reason as in job_history.FIND
LAST_JOB = """
    LEFT JOIN LATERAL (
        WITH found AS MATERIALIZED (SELECT * FROM background_jobs WHERE key = r.last_key)
        SELECT scheduled_at, status, error FROM found ORDER BY id DESC LIMIT 1
    ) b ON TRUE
"""
LIST = f"""
SELECT {COLUMNS} FROM recurring_jobs r {LAST_JOB}
WHERE r.queue = $1 AND ($2::text IS NULL OR r.name = $2) ORDER BY r.name
"""
# $1 queue, then the columns in their order. Returns no row where the name is taken.
CREATE = f"""
INSERT INTO recurring_jobs (queue, name, task, cron, every_seconds, tz, payload, is_unique,
                            is_declared, is_enabled, next_run_at)
SELECT $1, $2, $3, $4, $5, $6, $7::jsonb, $8, FALSE, $9, to_timestamp($10)
WHERE (SELECT count(*) FROM recurring_jobs WHERE queue = $1) < {SCHEDULES_MAX}
ON CONFLICT (queue, name) DO NOTHING RETURNING name
"""
# $3 is the next tick from now: those missed while it was disabled are not made up.
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


class ScheduleTable:
    """A `ScheduleStore` in Postgres."""

    def __init__(self, database: Database, queue: str) -> None:
        self._database = database
        self._queue = queue

    async def read(self, name: str | None = None) -> list[ScheduleRecord]:
        return [_read(row) for row in await self._database.fetch(LIST, self._queue, name)]

    async def create(self, new: NewSchedule) -> bool:
        timing = new.timing
        made = await self._database.fetch(
            CREATE, self._queue, new.name, new.task, timing.cron, timing.every_seconds,
            timing.tz, msgspec.json.encode(new.payload).decode(), new.is_unique, new.is_enabled,
            new.next_at,
        )  # fmt: skip
        return bool(made)

    async def enable(self, name: str, next_at: int) -> None:
        await self._database.fetch(ENABLE, self._queue, name, next_at)

    async def disable(self, name: str) -> bool:
        return bool(await self._database.fetch(DISABLE, self._queue, name))

    async def delete(self, name: str) -> bool:
        return bool(await self._database.fetch(DELETE, self._queue, name))


def _read(row: asyncpg.Record) -> ScheduleRecord:
    values = dict(row.items())
    timing = Timing(values["cron"], values.pop("every_seconds"), values["tz"])
    values["payload"] = msgspec.json.decode(values["payload"])
    return ScheduleRecord(every=timing.every, **values)
