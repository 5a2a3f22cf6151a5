"""Enqueues the due ticks of `recurring_jobs`; every worker runs a scheduler."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from saq import Job

from service.queue.cron import Timing
from service.queue.errors import QueueError
from service.queue.tables import table_statements
from service.queue.tables.table_queue import TableQueue
from service.queue.tasks.enqueue import build_job
from service.queue.tasks.registry import Registry

POLL_SECONDS = 15.0  # between reads of the table; a change also notifies
BUSY_SECONDS = (0.2, 0.6)  # until the next read, while another worker has locked the due rows
SYNC_SECONDS = 60.0
SYNC_AGAIN_SECONDS = 3.0  # while this worker's lease is not written yet
UNREADABLE_SECONDS = 3600
CHANGED = "saq:schedules"  # on the queue's channel

# $1 queue, $2 names of the declared, $3 tasks, $4 cron lines, $5 seconds, $6 zones, $7 unique,
# $8 next ticks, $9 owner. Brings the declared schedules up to date, and deletes those that neither
# this worker nor any live one declares. Returns how many rows it has changed, and whether this
# worker has a lease yet: the row of the lease also holds what the worker declares.
SYNC = """
WITH put AS (
    INSERT INTO recurring_jobs AS r (queue, name, task, cron, every_seconds, tz, is_unique,
                                     next_run_at, payload, is_declared)
    SELECT $1, d.name, d.task, d.cron, d.every_seconds, d.tz, d.is_unique,
           to_timestamp(d.next_run_at), '{}', TRUE
    FROM unnest($2::text[], $3::text[], $4::text[], $5::int[], $6::text[], $7::bool[],
                $8::bigint[])
         AS d (name, task, cron, every_seconds, tz, is_unique, next_run_at)
    ON CONFLICT (queue, name) DO UPDATE
    SET task = excluded.task, cron = excluded.cron, every_seconds = excluded.every_seconds,
        tz = excluded.tz, is_unique = excluded.is_unique, payload = excluded.payload,
        is_declared = TRUE,
        next_run_at = CASE WHEN (r.cron, r.every_seconds, r.tz) IS DISTINCT FROM
                                (excluded.cron, excluded.every_seconds, excluded.tz)
                           THEN excluded.next_run_at ELSE r.next_run_at END
    WHERE (r.task, r.cron, r.every_seconds, r.tz, r.is_unique, r.is_declared, r.payload)
          IS DISTINCT FROM (excluded.task, excluded.cron, excluded.every_seconds, excluded.tz,
                            excluded.is_unique, TRUE, excluded.payload)
    RETURNING 1
), declared AS (
    UPDATE queue_workers SET schedules = $2 WHERE id = $9 AND schedules <> $2
), gone AS (
    DELETE FROM recurring_jobs r
    WHERE r.queue = $1 AND r.is_declared AND r.name <> ALL ($2)
      AND NOT EXISTS (SELECT FROM queue_workers w WHERE w.queue = $1 AND w.id <> $9
                        AND w.expires_at > clock_timestamp() AND r.name = ANY (w.schedules))
    RETURNING 1
)
SELECT (SELECT count(*) FROM put) + (SELECT count(*) FROM gone) AS changed,
       EXISTS (SELECT FROM queue_workers WHERE id = $9) AS is_known
"""

# $1 queue, $2 the tasks this release knows: seconds until the next tick, NULL without one.
NEXT = """
SELECT extract(epoch FROM min(next_run_at) - clock_timestamp())::float8 AS seconds
FROM recurring_jobs WHERE queue = $1 AND is_enabled AND task = ANY ($2::text[])
"""
DUE = """
SELECT r.name, r.task, r.cron, r.every_seconds, r.tz, r.payload,
       extract(epoch FROM r.next_run_at)::bigint AS tick,
       extract(epoch FROM clock_timestamp())::float8 AS now,
       r.is_unique AND EXISTS (SELECT FROM background_jobs b WHERE b.key = r.last_key
                                 AND b.finished_at IS NULL) AS is_running
FROM recurring_jobs r
WHERE r.queue = $1 AND r.is_enabled AND r.next_run_at <= clock_timestamp()
  AND r.task = ANY ($2::text[])
ORDER BY r.next_run_at LIMIT 100 FOR UPDATE SKIP LOCKED
"""
MOVE_ON = """
UPDATE recurring_jobs r
SET next_run_at = to_timestamp(d.next_run_at), last_key = coalesce(d.key, r.last_key),
    last_error = d.error
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[]) AS d (name, next_run_at, key, error)
WHERE r.queue = $1 AND r.name = d.name
"""

log = structlog.stdlib.get_logger("queue")


@dataclass(frozen=True)
class Tick:
    """The result of a due row: a job, or the reason why there is none; and the next tick."""

    name: str
    next_at: int
    job: Job | None
    error: str | None


class TableScheduler:
    """Enqueues each tick once, with any number of workers.

    A row moves on to its next tick in the transaction that enqueues the job. Ticks that were missed
    while no worker ran become one job, with the time of the first of them.
    """

    def __init__(self, queue: TableQueue) -> None:
        self._queue = queue
        self._poll_at = self._sync_at = float("-inf")  # of time.monotonic()
        self._woken = asyncio.Event()

    async def wait_and_tick(self) -> list[str]:
        """Wait until a tick may be due, and enqueue what is due. Returns the keys of the jobs."""
        try:
            async with asyncio.timeout(
                max(min(self._poll_at, self._sync_at) - time.monotonic(), 0)
            ):
                await self._woken.wait()
        except TimeoutError:
            pass
        return await self.tick()

    async def tick(self) -> list[str]:
        """Enqueue what is due, if it is time to read the table. Returns the keys of the jobs."""
        if time.monotonic() >= self._sync_at:
            await self._sync()
        if time.monotonic() < self._poll_at and not self._woken.is_set():
            return []
        self._woken.clear()
        keys: list[str] = []
        seconds = await self._seconds_to_next()
        if seconds is not None and seconds <= 0:
            keys = await self._enqueue_due()
            seconds = await self._seconds_to_next()
            if seconds is not None and seconds <= 0:
                seconds = random.uniform(*BUSY_SECONDS)  # noqa: S311 - jitter
        self._poll_at = time.monotonic() + min(
            POLL_SECONDS if seconds is None else seconds + 0.001, POLL_SECONDS
        )
        return keys

    def wake(self) -> None:
        """Read the table now: a schedule has changed."""
        self._woken.set()

    async def announce_change(self) -> None:
        """Wake the scheduler of every worker, this one included."""
        self.wake()
        for queue in self._queue.all:
            await queue.notify_workers(CHANGED)

    async def database_now(self) -> float:
        """Epoch seconds by the database's clock; this process's own may be wrong."""
        (row,) = await self._queue.fetch(table_statements.CLOCK)
        return float(row["now"])

    @property
    def _tasks(self) -> list[str]:
        return list(self._queue.registry.tasks)

    async def _sync(self) -> None:
        """Write the schedules that the code declares; one that an operator disabled stays so."""
        queue = self._queue
        declared = [task for task in queue.registry.tasks.values() if task.schedule]
        now = await self.database_now() if declared else 0.0
        timings = [task.schedule.timing for task in declared if task.schedule]
        (row,) = await queue.fetch(
            SYNC, queue.name,
            [task.name for task in declared], [task.name for task in declared],
            [timing.cron for timing in timings], [timing.every_seconds for timing in timings],
            [timing.tz for timing in timings],
            [task.schedule.is_unique for task in declared if task.schedule],
            [timing.next_after(now) for timing in timings], queue.owner,
        )  # fmt: skip
        self._sync_at = time.monotonic() + (SYNC_SECONDS if row["is_known"] else SYNC_AGAIN_SECONDS)
        if row["changed"]:
            log.info("schedules changed", changed=row["changed"])
            await self.announce_change()

    async def _seconds_to_next(self) -> float | None:
        (row,) = await self._queue.fetch(NEXT, self._queue.name, self._tasks)
        seconds: float | None = row["seconds"]
        return seconds

    async def _enqueue_due(self) -> list[str]:
        queue = self._queue
        async with queue.transaction() as connection:
            rows = await queue.fetch(DUE, queue.name, self._tasks, connection=connection)
            ticks = [tick_of(queue.registry, dict(row)) for row in rows]
            jobs = [tick.job for tick in ticks if tick.job]
            put = await queue.enqueue_ticks(jobs, connection) if jobs else []
            await self._move_on(ticks, connection)
        for tick in ticks:
            if tick.error:
                log.warning("a tick became no job", schedule=tick.name, reason=tick.error)
        return [job.key for job in put if job]

    async def _move_on(self, ticks: Sequence[Tick], connection: Any) -> None:
        await self._queue.fetch(
            MOVE_ON, self._queue.name,
            [tick.name for tick in ticks], [tick.next_at for tick in ticks],
            [tick.job.key if tick.job else None for tick in ticks],
            [tick.error for tick in ticks], connection=connection,
        )  # fmt: skip


def tick_of(registry: Registry, row: Mapping[str, Any]) -> Tick:
    """The result of a due row of `recurring_jobs` at the moment `row["now"]`."""
    try:
        next_at = Timing(row["cron"], row["every_seconds"], row["tz"]).next_after(row["now"])
    except Exception as error:  # one row, perhaps written by hand, must not stop the others
        later = int(row["now"]) + UNREADABLE_SECONDS
        return Tick(row["name"], later, None, f"its time cannot be read: {error}")
    if row["is_running"]:
        return Tick(row["name"], next_at, None, "skipped: the job of the tick before has not ended")
    try:
        payload: dict[str, Any] = msgspec.json.decode(row["payload"])
        job = build_job(registry, row["task"], payload)
    except QueueError as error:  # the task has changed since the schedule was created
        return Tick(row["name"], next_at, None, str(error))
    job.key, job.scheduled = f"cron:{row['name']}:{row['tick']}", row["tick"]
    return Tick(row["name"], next_at, job, None)
