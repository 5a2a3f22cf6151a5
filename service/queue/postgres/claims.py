"""The claims of this process: the jobs that it holds, and the statements that take more."""

import asyncio
import re
from collections import Counter
from collections.abc import Callable, Coroutine
from typing import Any

import asyncpg

from service.queue import job_blob
from service.queue.fetch_order import FetchOrder
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.postgres import statements as sql
from service.queue.tables.table_queue import TableQueue

ENDED_MAX = 100  # claims of which every job has ended, before the next one deletes their rows
FIRST = (-(2**15), 0, 0)  # before the place of every job
LOOK_SECONDS = 0.2  # in a backlog a claim begins at the first job again after so long
SUSPECT_SECONDS = 5.0  # without a free slot, before a suspect is claimed ahead all the same


def _from_ninth(statement: str) -> str:
    return re.sub(r"\$(\d)", lambda found: f"${int(found[1]) + 8}", statement)


def _due_jobs(queue: str, limit: str, more: str = "") -> str:
    """The due jobs of a queue that may start now, the next one first, locked."""
    return f"""
    SELECT r.ctid AS place, r.id, r.queue, r.group_key, r.priority, r.scheduled, j.crashes
    FROM queue_ready r JOIN saq_jobs j ON j.background_job_id = r.id
    WHERE r.queue = {queue} AND r.scheduled <= {sql.NOW} AND j.status = 'queued'
      AND (r.group_key IS NULL OR NOT EXISTS (
          SELECT FROM queue_groups g WHERE g.queue = {queue} AND g.group_key = r.group_key))
      AND (j.task IS NULL OR j.task <> ALL ($4::text[]))
      AND (j.crashes < {sql.SUSPECT_CRASHES} OR NOT $5) {more}
    ORDER BY r.priority, r.scheduled, r.id
    LIMIT {limit}
    FOR UPDATE OF r, j SKIP LOCKED"""


# Of the due jobs one of each group, and one suspect.
_START = f"""
claim AS MATERIALIZED (
    SELECT nextval('queue_claims_id_seq') AS number
), started AS (
    UPDATE saq_jobs j
    SET status = 'active', owner = $3, lease = j.lease + 1, attempts = j.attempts + 1,
        started_at = clock_timestamp(), progress = 0, claim = claim.number
    FROM due, claim
    WHERE j.background_job_id = due.id
      AND (due.group_key IS NULL OR NOT EXISTS (
          SELECT FROM due e WHERE e.queue = due.queue AND e.group_key = due.group_key
            AND (e.priority, e.scheduled, e.id) < (due.priority, due.scheduled, due.id)))
      AND (due.crashes < {sql.SUSPECT_CRASHES} OR NOT EXISTS (
          SELECT FROM due e WHERE e.crashes >= {sql.SUSPECT_CRASHES}
            AND (e.priority, e.scheduled, e.id) < (due.priority, due.scheduled, due.id)))
    RETURNING {sql.JOB_COLUMNS}, j.queue, j.background_job_id, due.place
), unplaced AS (
    DELETE FROM queue_ready r USING started WHERE r.ctid = started.place
), claimed AS (
    INSERT INTO queue_claims (id, owner, jobs)
    SELECT claim, $3, array_agg(background_job_id) FROM started GROUP BY claim
)"""
_TIDY = """, ended AS (
    DELETE FROM queue_claims WHERE owner = $3 AND id = ANY ($6::bigint[])
), waits AS (
    UPDATE queue_workers SET is_waiting = $7 OR (SELECT count(*) FROM due) < $2
    WHERE id = $3 AND is_waiting <> ($7 OR (SELECT count(*) FROM due) < $2)
)"""

# $1 queue, $2 how many, $3 owner, $4 tasks to skip, $5 whether the worker runs a suspect already,
# $6 claims of which every job has ended, $7 whether to mark this worker as waiting in any case;
# else only where fewer jobs are due than $2.
CLAIM = f"""
WITH due AS MATERIALIZED ({_due_jobs("$1", "$2")}
), {_START}{_TIDY}
SELECT * FROM started
"""

# The same while there is a backlog: from the place on where the claim before ended, with its
# priority in $6, due time in $7 and number in $8. Rows that have been claimed stand before that
# place until a vacuum, and reading them again costs more than the claim.
_BEHIND = "AND (r.priority, r.scheduled, r.id) > ($6::smallint, $7::bigint, $8::bigint)"
_MORE = f"""due AS MATERIALIZED ({_due_jobs("$1", "$2", _BEHIND)}
), {_START}"""
CLAIM_MORE = f"""
WITH {_MORE}
SELECT * FROM started
"""

# WRITE_OUTCOMES, with its arguments, and CLAIM_MORE behind it, with its own from $9 on: half of the
# commits and round trips of both. Returns a row with the keys that were still held, then the jobs.
TURN = f"""
WITH written AS ({sql.WRITE_OUTCOMES}
), {_from_ninth(_MORE)}
SELECT w.keys, s.* FROM (SELECT array_agg(key) AS keys FROM written) AS w
LEFT JOIN started s ON FALSE
UNION ALL
SELECT NULL, s.* FROM started s
"""

# CLAIM for several queues. It first takes from each queue in $1 at most as many jobs as its share
# in $8; what is still wanted then comes from the queues in their order.
_NOT_SHARED = "AND NOT EXISTS (SELECT FROM shared WHERE shared.id = r.id)"
CLAIM_SEVERAL = f"""
WITH shared AS MATERIALIZED (
    SELECT due.* FROM unnest($1::text[], $8::int[]) AS q (name, share),
    LATERAL ({_due_jobs("q.name", "q.share")}) AS due
), others AS MATERIALIZED (
    SELECT due.* FROM unnest($1::text[]) AS q (name),
    LATERAL ({_due_jobs("q.name", "$2", _NOT_SHARED)}) AS due
    LIMIT greatest($2 - (SELECT count(*) FROM shared), 0)
), due AS (
    SELECT * FROM shared UNION ALL SELECT * FROM others
), {_START}{_TIDY}
SELECT * FROM started
"""


class Claims:
    """Takes due jobs, and keeps which are held until their outcome is written."""

    def __init__(
        self, queue: TableQueue, dead_letter: Callable[[str, int, str], Coroutine[Any, Any, None]]
    ) -> None:
        self._queue = queue
        self._dead_letter = dead_letter
        self._failing: set[asyncio.Task[None]] = set()  # malformed jobs
        self.held: dict[str, LeasedJob] = {}
        self._suspects = 0  # of the held jobs
        self._started_at = 0.0  # event-loop time of the last claim that a slot waited for
        self._unended: dict[int, int] = {}  # by claim: how many of its jobs are held
        self._ended: list[int] = []  # claims of which none is
        self._queue_name = ""  # of the last claim; empty where it was of several
        self._place = FIRST  # of the last job that it has found
        self._looked_at = 0.0  # event-loop time of the last claim that began at the first job
        self._is_shown_waiting = False  # `queue_workers` says so
        self.has_gone_on = False  # the last claim began at `_place`, so it has not seen all jobs

    def holds(self, job: LeasedJob) -> bool:
        """Does this process hold this run of the job? Another read of the same key is not held."""
        return self.held.get(job.key) is job

    def release(self, job: LeasedJob) -> None:
        """Forget a job whose outcome has been written."""
        if not self.holds(job):
            return
        del self.held[job.key]
        self._suspects -= job.crashes >= sql.SUSPECT_CRASHES
        self._count_down(job.claim)

    def _count_down(self, claim: int) -> None:
        left = self._unended.pop(claim, 0) - 1
        if left > 0:
            self._unended[claim] = left
        elif left == 0:  # else SQS has delivered the job
            self._ended.append(claim)

    async def take(
        self, order: FetchOrder, room: int, *, skipped: list[str], is_backlog: bool, starts: bool
    ) -> tuple[list[LeasedJob], int]:
        """Claim up to `room` jobs; while there is a backlog, this worker is not marked as waiting.

        A suspect is claimed only where the first of them `starts` at once, or none has for
        SUSPECT_SECONDS: if the worker died before the suspect has begun, it would count as the
        cause.
        Returns the jobs, and the number of claimed rows, malformed ones included.
        """
        queue, now, names = self._queue, asyncio.get_running_loop().time(), order.names
        claim = (room, queue.owner, skipped, self._leaves_suspects(starts))
        self.has_gone_on = is_backlog and self.may_go_on(names)
        if self.has_gone_on:
            found = await queue.fetch(CLAIM_MORE, names[0], *claim, *self._place)
        else:
            ended = self._ended[:ENDED_MAX]
            if len(names) == 1:
                found = await queue.fetch(CLAIM, names[0], *claim, ended, not is_backlog)
            else:
                shares = order.shares(names, room)
                found = await queue.fetch(
                    CLAIM_SEVERAL, names, *claim, ended, not is_backlog, shares
                )
                order.note(
                    dict(zip(names, shares, strict=True)), Counter(row["queue"] for row in found)
                )
            self._looked_at, self._place = now, FIRST
            self._is_shown_waiting = not is_backlog or len(found) < room
            del self._ended[: len(ended)]
        self._queue_name = names[0] if len(names) == 1 else ""
        held = self._hold(found)
        return (held if len(names) == 1 else order.sorted(held)), len(found)

    async def turn(
        self, outcomes: tuple[Any, ...], room: int, *, skipped: list[str], starts: bool
    ) -> tuple[set[str], list[LeasedJob], int]:
        """Write outcomes, and claim up to `room` jobs behind the last ones, in one statement.

        `outcomes` are the arguments of WRITE_OUTCOMES. Returns the keys that were still held, and
        what `take` does. Only where it `may_go_on`.
        """
        queue = self._queue
        claim = (room, queue.owner, skipped, self._leaves_suspects(starts))
        written, *found = await queue.fetch(TURN, *outcomes, self._queue_name, *claim, *self._place)
        return {*(written["keys"] or ())}, self._hold(found), len(found)

    def _leaves_suspects(self, starts: bool) -> bool:
        now = asyncio.get_running_loop().time()
        if starts:
            self._started_at = now
        return self._suspects > 0 or (now - self._started_at < SUSPECT_SECONDS and not starts)

    def _hold(self, found: list[asyncpg.Record]) -> list[LeasedJob]:
        held, now = [], asyncio.get_running_loop().time()
        found.sort(key=_place)
        if found:
            self._place = max(_place(found[-1]), self._place)
        for row in found:
            self._unended[row["claim"]] = self._unended.get(row["claim"], 0) + 1
            try:
                job = job_blob.load(row, self._queue.named(row["queue"]))
            except MalformedJobError as error:
                # not awaited: the outcome of this job may have to wait for the one under way
                failing = asyncio.create_task(
                    self._fail(row["key"], row["lease"], row["claim"], f"malformed job: {error}")
                )
                self._failing.add(failing)
                failing.add_done_callback(self._failing.discard)
            else:
                job.claimed_at = now
                if before := self.held.get(job.key):  # its outcome was written without an answer
                    self.release(before)
                self.held[job.key] = job
                self._suspects += job.crashes >= sql.SUSPECT_CRASHES
                held.append(job)
        return held

    async def _fail(self, key: str, lease: int, claim: int, error: str) -> None:
        await self._dead_letter(key, lease, error)
        self._count_down(claim)

    def may_go_on(self, names: list[str]) -> bool:
        """May the next claim, from these queues, begin where the last one ended?"""
        return (
            names == [self._queue_name]
            and not self._is_shown_waiting
            and asyncio.get_running_loop().time() - self._looked_at < LOOK_SECONDS
            and len(self._ended) < ENDED_MAX
        )


def _place(row: asyncpg.Record) -> tuple[int, int, int]:
    """Where a job stands in its queue."""
    return row["priority"], row["scheduled"], row["background_job_id"]
