"""One step of a bulk action: the change of up to a thousand jobs, and what is noted of it."""

import asyncio
import contextlib
import json
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import asyncpg

from service.db import UNAVAILABLE
from service.queue.bulk_action import ACTIONS, BulkAction
from service.queue.job import KEEP_FAILED_SECONDS
from service.queue.postgres.statements import BAD, ENDED, NOW
from service.queue.tables.table_queue import TableQueue

LOCKED_SECONDS = 0.05  # before jobs are tried again that somebody else was changing
TRIES = 40

# What a stock client reads of a job that waits again: of two fields with one name the later counts.
_AGAIN = (
    '"status":"queued","attempts":0,"started":0,"touched":0,"completed":0,"progress":0.0,'
    '"worker_id":null,"result":null,"error":null}'
)
_WAITS = f"""job = CASE WHEN get_byte(j.job, octet_length(j.job) - 1) = 125 -- a closing brace
        THEN substring(j.job FROM 1 FOR octet_length(j.job) - 1) || convert_to(',{_AGAIN}', 'UTF8')
        ELSE j.job END,
    status = 'queued', finished_at = NULL, is_bad = FALSE, expire_at = NULL, owner = NULL,
    lease = j.lease + 1"""
_WAS = """j.background_job_id AS id, j.status, j.priority, j.scheduled, j.is_delayed, j.attempts,
    j.crashes, j.lease, j.finished_at, j.expire_at"""
_TYPES = """id BIGINT, status TEXT, priority SMALLINT, scheduled BIGINT, is_delayed BOOLEAN,
    attempts INT, crashes INT, lease BIGINT, finished_at TIMESTAMPTZ, expire_at BIGINT"""

# Which jobs an action changes, and how. $3 is its own: when it began, an error, a priority. A job
# that waited when it was looked for may run now: what is cancelled has a state of $4 still. A job
# that has ended since then is none of those that were meant. The error of a retried job stays, as
# after an attempt that failed: it is needed to undo it.
_SINCE = f"j.status IN {ENDED} AND coalesce(j.finished_at < $3::timestamptz, TRUE)"
FITS = {
    "retry": _SINCE,
    "delete": _SINCE,
    "cancel": "j.status = ANY ($4::text[]) AND $3::text IS NOT NULL",
    "run-now": f"j.status = 'queued' AND j.scheduled > {NOW} AND $3::text IS NOT NULL",
    "priority": "j.status = 'queued' AND j.priority <> $3::smallint",
}
SETS = {
    "retry": f"""{_WAITS}, attempts = 0, crashes = 0, progress = 0, scheduled = {NOW},
    is_delayed = FALSE""",
    "cancel": f"""status = CASE j.status WHEN 'active' THEN 'aborting' ELSE 'aborted' END,
    error = $3, is_bad = j.status <> 'active',
    expire_at = CASE j.status WHEN 'queued' THEN {NOW} + {KEEP_FAILED_SECONDS} END,
    finished_at = CASE j.status WHEN 'queued' THEN now() END""",
    "run-now": f"scheduled = {NOW}, is_delayed = FALSE",
    "priority": "priority = $3",
}

# Which jobs can be changed back, w as they were: those that nothing has happened to since.
FITS_BACK = {
    "retry": f"j.status = 'queued' AND j.lease = w.lease + 1 AND w.status IN {BAD}",
    "cancel": "j.status = 'aborted' AND j.lease = w.lease AND w.status = 'queued'",
    "run-now": "j.status = 'queued' AND j.lease = w.lease AND j.scheduled < w.scheduled",
    "priority": """j.status = 'queued' AND j.lease = w.lease AND j.priority <> w.priority
        AND j.priority = $2::smallint""",
}
_DELAYED = f"scheduled = w.scheduled, is_delayed = w.is_delayed AND w.scheduled > {NOW}"
SETS_BACK = {
    "retry": """status = w.status, attempts = w.attempts, crashes = w.crashes,
    scheduled = w.scheduled, finished_at = w.finished_at, expire_at = w.expire_at, is_bad = TRUE,
    lease = j.lease + 1, job = saq_job_with(j.job, saq_job_ending(w.status, j.error))""",
    "cancel": f"{_WAITS}, error = NULL, {_DELAYED}",
    "run-now": _DELAYED,
    "priority": "priority = w.priority",
}

# Not part of the statement that cancels: a trigger refuses the change of a running job to one that
# sets its blob.
SHOW_ABORTED = """
UPDATE saq_jobs SET job = saq_job_with(job, saq_job_ending(status, error))
WHERE background_job_id = ANY ($1::bigint[]) AND status = 'aborted'
"""


def _change(action: str) -> str:
    """$1 numbers of jobs, $2 number of the bulk action. Returns the jobs that it has changed.

    It waits for no lock: whoever waits for one and holds others may stand in a circle.
    """
    if action == "delete":
        change = "DELETE FROM saq_jobs j USING chosen c WHERE j.background_job_id = c.id"
    else:
        change = (
            f"UPDATE saq_jobs j SET {SETS[action]} FROM chosen c WHERE j.background_job_id = c.id"
        )
    return f"""
WITH chosen AS MATERIALIZED (
    SELECT {_WAS} FROM saq_jobs j
    WHERE j.background_job_id = ANY ($1::bigint[]) AND {FITS[action]}
    ORDER BY j.background_job_id FOR UPDATE OF j SKIP LOCKED
), changed AS (
    {change} RETURNING j.background_job_id AS id, j.queue, j.key
), noted AS (
    INSERT INTO bulk_steps (action, was)
    SELECT $2::bigint, jsonb_agg(to_jsonb(c)) FROM chosen c
    HAVING count(*) > 0 AND '{action}' <> 'delete'
)
SELECT id, queue, key FROM changed
"""


def _left(action: str) -> str:
    """$1 numbers of jobs, $2 number of the bulk action: those that were locked."""
    return f"""
SELECT j.background_job_id AS id FROM saq_jobs j
WHERE j.background_job_id = ANY ($1::bigint[]) AND $2::bigint IS NOT NULL AND {FITS[action]}
"""


# OFFSET, so that the planner looks up one job after the other: it cannot know how few there are.
_THEN = f"""jsonb_to_recordset($1::jsonb) AS w ({_TYPES}),
    LATERAL (SELECT * FROM saq_jobs WHERE background_job_id = w.id OFFSET 0) AS j"""


def _restore(action: str) -> str:
    """$1 jobs as they were. Returns the jobs that are so again."""
    return f"""
WITH chosen AS MATERIALIZED (
    SELECT w.* FROM {_THEN} WHERE {FITS_BACK[action]}
    ORDER BY w.id FOR UPDATE OF j SKIP LOCKED
), forgotten AS ( -- the attempt that has become an earlier one is the last one again
    DELETE FROM job_attempts a USING chosen w WHERE a.job_id = w.id AND a.ended_at = w.finished_at
)
UPDATE saq_jobs j SET {SETS_BACK[action]} FROM chosen w WHERE j.background_job_id = w.id
RETURNING j.background_job_id AS id, j.queue, j.key
"""


def _left_back(action: str) -> str:
    return f"""
SELECT w.id FROM {_THEN} WHERE {FITS_BACK[action]}
"""


CHANGE = {action: _change(action) for action in FITS}
LEFT = {action: _left(action) for action in FITS}
RESTORE = {action: _restore(action) for action in FITS_BACK}
LEFT_BACK = {action: _left_back(action) for action in FITS_BACK}


@dataclass(frozen=True)
class _Step:
    """Statements that change jobs and find those that were locked, with their arguments."""

    verb: str
    change: str
    left: str
    given: tuple[Any, ...]


async def change(
    queue: TableQueue, action: BulkAction, numbers: list[int], place: int
) -> BulkAction | None:
    """Change these jobs, and note it. None where it is not for this process to do any more."""
    own: dict[str, Any] = {
        "retry": action.created_at,
        "delete": action.created_at,
        "cancel": f"cancelled by {action.who} (bulk action {action.id})",
        "run-now": "now",
        "priority": action.priority,
    }
    verb = action.action
    given = [numbers, action.id, own[verb]]
    if verb == "cancel":
        status = action.filter.get("status")
        given.append([status] if status else list(ACTIONS["cancel"]))
    step = _Step(verb, CHANGE[verb], LEFT[verb], tuple(given))
    return await _make(queue, action, step, place)


async def restore(
    queue: TableQueue,
    action: BulkAction,
    undone: BulkAction,
    was: list[dict[str, Any]],
    place: int,
) -> BulkAction | None:
    """Change jobs back to what they were, and note it. None as for `change`."""
    verb = undone.action
    given: list[Any] = [json.dumps(was)]
    if verb == "priority":
        given.append(undone.priority)
    step = _Step("undo", RESTORE[verb], LEFT_BACK[verb], tuple(given))
    return await _make(queue, action, step, place)


async def _make(
    queue: TableQueue, action: BulkAction, step: _Step, place: int
) -> BulkAction | None:
    now = action
    for _ in range(TRIES):
        async with queue.transaction() as own:
            if not await queue.bulk.hold(action, queue.owner, own):
                return None
            changed = await own.fetch(step.change, *step.given)
            if step.verb == "cancel" and changed:
                await own.execute(SHOW_ABORTED, [row["id"] for row in changed])
            left = await own.fetch(step.left, *step.given)
            here = action.place if left else place
            now = await queue.bulk.move(action, len(changed), here, own)
        await _tell(queue, changed, step.verb)
        if not left:
            return now
        await asyncio.sleep(LOCKED_SECONDS)
    jobs = "1 job is" if len(left) == 1 else f"{len(left)} jobs are"
    await queue.bulk.fail(action.id, f"{jobs} locked by another transaction; resume it later")
    return None


async def _tell(queue: TableQueue, changed: list[asyncpg.Record], verb: str) -> None:
    """Wake the workers of the queues whose jobs have changed."""
    keys = defaultdict(list)
    for row in changed:
        keys[row["queue"]].append(row["key"])
    known = {each.name: each for each in queue.all}
    for name in keys.keys() & known.keys():
        with contextlib.suppress(*UNAVAILABLE):  # without it, workers poll
            if verb == "cancel":
                await known[name].notify_workers("saq:abort")
            elif verb != "delete":
                await known[name].wake_for(keys[name])
