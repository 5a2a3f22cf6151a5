"""The history of jobs on Redis, whose rows are in no table: each change of a job writes it here.

Into `job_archive` itself, and not through the view `background_jobs`, which locks no row that it
changes.
"""

import contextlib
import copy

import structlog
from saq import Job, Status
from saq.job import TERMINAL_STATUSES

from service.db import UNAVAILABLE
from service.queue.job import KEEP_FAILED_SECONDS, LeasedJob
from service.queue.tables import table_statements
from service.queue.tables.batch import Batch
from service.queue.tables.connections import storable
from service.queue.tables.table_queue import TableQueue
from service.queue.tasks.origin import parent_of

LOST_SECONDS = 60  # a job enqueued so long ago that is not in the broker is lost
UNFINISHED_ROWS = 10_000  # the newest rows of the history are searched for lost jobs
MISSED_JOBS = 10_000  # the most changes that are remembered while the database is away
HISTORY = "history"  # in a job's meta: the id of its history row
LOST = "the broker has lost it"
HistoryKey = tuple[str, int]  # a job's key, and the id of its history row or 0

# $1 key, $2 queue, $3 task, $4 due time (0: now), $5 its parent's key or NULL
INSERT = """
WITH made AS (
    INSERT INTO job_archive (key, queue, task, status, scheduled_at)
    VALUES ($1, $2, $3, 'queued', CASE $4::bigint WHEN 0 THEN now() ELSE to_timestamp($4) END)
    RETURNING id
), kept AS (
    INSERT INTO job_children (child, parent)
    SELECT id, $5::text FROM made WHERE $5::text IS NOT NULL
)
SELECT id FROM made
"""
DELETE = """
WITH kept AS (DELETE FROM job_children WHERE child = $1)
DELETE FROM job_archive WHERE id = $1 AND queue = $2 RETURNING id
"""
# $1 queue, then the states of jobs. Each goes to the history row with its id, or with id 0 to the
# newest row of its key. `started` in milliseconds, `due` in seconds (0: unchanged).
CHANGE = """
UPDATE job_archive b
SET status = d.status, attempts = d.attempts, crashes = d.crashes, error = d.error,
    worker_id = coalesce(d.worker_id, b.worker_id),
    scheduled_at = CASE d.due WHEN 0 THEN b.scheduled_at ELSE to_timestamp(d.due) END,
    started_at = CASE d.started WHEN 0 THEN b.started_at
                      ELSE to_timestamp(d.started / 1000.0) END,
    finished_at = CASE WHEN d.status IN ('complete', 'failed', 'aborted')
                       THEN clock_timestamp() END,
    is_bad = d.status IN ('failed', 'aborted')
FROM unnest($2::text[], $3::text[], $4::int[], $5::int[], $6::text[], $7::text[], $8::float8[],
            $9::bigint[], $10::bigint[])
     AS d (key, status, attempts, crashes, error, worker_id, due, started, id)
WHERE b.id = (SELECT id FROM job_archive x WHERE x.key = d.key AND x.queue = $1
                AND (x.id = d.id OR d.id = 0) ORDER BY id DESC LIMIT 1)
RETURNING d.key, d.id
"""
ASKED = """
UPDATE job_archive b SET status = 'aborting', error = $3
WHERE b.id = (SELECT id FROM job_archive x WHERE x.key = $2 AND x.queue = $1
              ORDER BY id DESC LIMIT 1)
  AND b.status = 'active'
RETURNING id
"""
# $1 queue, $2 keys, $3 the error of a lost job: returns the keys that have been in the broker
PUSHED = """
SELECT key FROM job_archive
WHERE queue = $1 AND key = ANY ($2::text[])
  AND (started_at IS NOT NULL OR finished_at IS NOT NULL AND error IS DISTINCT FROM $3)
"""
DELETE_UNPUSHED = """
DELETE FROM job_archive
WHERE queue = $1 AND key = ANY ($2::text[]) AND started_at IS NULL AND finished_at IS NULL
"""
UNFINISHED = f"""
SELECT key FROM (SELECT key, finished_at, created_at FROM job_archive WHERE queue = $1
                 ORDER BY id DESC LIMIT {UNFINISHED_ROWS}) AS newest
WHERE finished_at IS NULL AND created_at < now() - interval '{LOST_SECONDS} seconds'
"""
# $1 queue, $2 seconds that failed jobs are kept, $3 the most that are counted
COUNTS = """
SELECT (SELECT count(*) FROM (SELECT FROM job_archive WHERE is_bad AND status = 'failed'
        AND queue = $1 AND finished_at > now() - make_interval(secs => $2) LIMIT $3) AS bad)
           AS failed,
       (SELECT count(*) FROM queue_workers
        WHERE $1 = ANY (coalesce(queues, ARRAY[queue])) AND expires_at > clock_timestamp())
           AS workers
"""

log = structlog.stdlib.get_logger("queue")


class RedisHistory:
    """Writes the history of jobs, many in one statement."""

    def __init__(self, queue: TableQueue) -> None:
        self._queue = queue
        self._batch = Batch(self._write)
        self._missed: dict[str, Job] = {}  # by key, the states that could not be written

    async def begin(self, job: Job) -> int:
        """Insert the history row of a new job. Returns its id.

        The job carries the id, because its key may belong to another job later.
        """
        queue = self._queue
        (row,) = await queue.fetch(
            INSERT, job.key, queue.name, job.function, job.scheduled, parent_of(job)
        )
        made: int = row["id"]
        job.meta[HISTORY] = made
        return made

    async def forget(self, made: int) -> None:
        """Delete a history row whose job was not enqueued."""
        await self._queue.fetch(DELETE, made, self._queue.name)

    async def pushed(self, keys: list[str]) -> set[str]:
        """Those of `keys` that are known to have been in the broker."""
        rows = await self._queue.fetch(PUSHED, self._queue.name, keys, LOST)
        return {row["key"] for row in rows}

    async def forget_unpushed(self, keys: list[str]) -> None:
        """Delete rows whose process died before it put their jobs into the broker."""
        await self._queue.fetch(DELETE_UNPUSHED, self._queue.name, keys)

    async def note(self, job: Job, *, due: float = 0) -> None:
        """Write the job's state. While the database is away it is kept for `repair`."""
        self._missed.pop(job.key, None)
        try:
            await self._batch((job, due))
        except UNAVAILABLE as error:
            log.warning("history not written", job_key=job.key, error=type(error).__name__)
            self._missed[job.key] = copy.copy(job)
            if len(self._missed) > MISSED_JOBS:
                del self._missed[next(iter(self._missed))]

    async def counts(self) -> tuple[int, int]:
        """The number of kept failed jobs, at most 100,000, and the number of live workers."""
        (row,) = await self._queue.fetch(
            COUNTS, self._queue.name, float(KEEP_FAILED_SECONDS), table_statements.COUNT_MAX
        )
        return row["failed"], row["workers"]

    async def note_asked_to_abort(self, job: Job) -> None:
        """Write that a running job was aborted, unless its worker has ended it already."""
        with contextlib.suppress(*UNAVAILABLE):
            await self._queue.fetch(ASKED, self._queue.name, job.key, storable(job.error))

    async def repair(self) -> int:
        """Write the states that were missed, and abort lost jobs. Returns how many rows."""
        missed = dict(self._missed)
        unfinished = {row["key"] for row in await self._queue.fetch(UNFINISHED, self._queue.name)}
        keys = list(unfinished | missed.keys())
        if not keys:
            return 0
        wrong: list[tuple[Job, float]] = []
        for key, job in zip(keys, await self._queue.jobs(keys), strict=True):
            own = missed.get(key)
            if job is None and own is not None and own.status in TERMINAL_STATUSES:
                wrong.append((own, 0.0))  # it ended, and its ttl is over
            elif job is None and key in unfinished:
                log.error("the broker has lost a job", job_key=key)
                wrong.append((_lost(key), 0.0))
            elif job is not None and (own is not None or job.status in TERMINAL_STATUSES):
                wrong.append((job, 0.0))
        if wrong:
            with contextlib.suppress(*UNAVAILABLE):
                await self._write(wrong)
                for key, own in missed.items():
                    if self._missed.get(key) is own:
                        del self._missed[key]
        return len(wrong)

    async def _write(self, changes: list[tuple[Job, float]]) -> list[None]:
        # the last state of each row replaces the earlier ones
        last = {(job.key, _own_id(job)): (job, due) for job, due in changes}
        known = await self._change(last)
        # A stock client has enqueued the job, or the answer to our insert was lost.
        unknown = {row: each for row, each in last.items() if row not in known}
        for job, _ in unknown.values():
            await self.begin(job)
        if unknown:
            await self._change(
                {(key, _own_id(each[0])): each for (key, _), each in unknown.items()}
            )
        return [None] * len(changes)

    async def _change(self, last: dict[HistoryKey, tuple[Job, float]]) -> set[HistoryKey]:
        """Write these states. Returns those that have a history row."""
        jobs = [job for job, _ in last.values()]
        rows = await self._queue.fetch(
            CHANGE, self._queue.name,
            [key for key, _ in last], [job.status.value for job in jobs],
            [job.attempts for job in jobs],
            [job.crashes if isinstance(job, LeasedJob) else 0 for job in jobs],
            [storable(job.error) for job in jobs], [job.worker_id for job in jobs],
            [float(due) for _, due in last.values()], [job.started for job in jobs],
            [own_id for _, own_id in last],
        )  # fmt: skip
        return {(row["key"], row["id"]) for row in rows}


def _own_id(job: Job) -> int:
    found = job.meta.get(HISTORY)
    return found if isinstance(found, int) else 0


def _lost(key: str) -> Job:
    return Job("?", key=key, status=Status.ABORTED, error=LOST)
