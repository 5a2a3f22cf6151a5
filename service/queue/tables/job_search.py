"""Pages of the history that a filter leaves, at a bounded cost however much there is.

A statement reads jobs in the order of an index, newest first, looks at so many of them and no more,
and stops where the page is full. What has no index is checked on the way.
"""

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

import asyncpg

from service.contract import QUEUE_NAME
from service.queue.job import BAD, JobRecord
from service.queue.job_filter import JobFilter, RecordPage
from service.queue.tables.table_statements import COUNT_MAX

SEARCH_ROWS = 10_000
# Where a job costs more: its row lies far from that of the next one, or its payload is parsed.
COSTLY_ROWS = 2_500
# Of payloads or errors: parsing and searching text costs by its length.
SEARCH_BYTES = 8 * 1024 * 1024
LAST_ID = 2**63 - 1
RUNNING = ("active", "aborting")
CHECKED = "key, queue, task, status, is_bad, created_at, error, worker_id"
COLUMNS = ", ".join(f"b.{found.name}" for found in fields(JobRecord))
# A job's number and its `created_at` are in the same order, but for transactions that were open for
# a while when they enqueued.
DISORDER = timedelta(seconds=30)

# As `background_jobs` shows them, and with what only a job has that is still kept.
_KEPT = """(SELECT background_job_id AS id, key, queue, task, status, is_bad, created_at, job,
             saq_job_error(status, error, job) AS error, coalesce(owner, worker_id) AS worker_id
      FROM saq_jobs) AS kept"""

# $1 a time: the number of the first job that is newer; found by halves, because no index has times.
FIRST_AFTER = """
WITH RECURSIVE step (low, high) AS (
    SELECT (SELECT id FROM background_jobs ORDER BY id LIMIT 1),
           (SELECT id + 1 FROM background_jobs ORDER BY id DESC LIMIT 1)
    UNION ALL
    SELECT CASE WHEN found.created_at <= $1 THEN found.id + 1 ELSE low END,
           CASE WHEN found.created_at <= $1 THEN high ELSE (low + high) / 2 END
    FROM step LEFT JOIN LATERAL (
        SELECT id, created_at FROM background_jobs
        WHERE id >= (low + high) / 2 AND id < high ORDER BY id LIMIT 1) AS found ON TRUE
    WHERE low < high
)
SELECT low FROM step WHERE low >= high
"""

# The jobs that wait, and those of the claims, some of which may have ended. Those of Redis are in
# the archive. Each part stops by itself, so that the planner reads none of them whole.
_PART = f"ORDER BY id DESC LIMIT {COUNT_MAX + 1}"
_OPEN_OF_REDIS = f"(SELECT id FROM job_archive WHERE finished_at IS NULL {_PART})"
_WAITING = f"""(SELECT id FROM queue_ready LIMIT {COUNT_MAX + 1})
    UNION ALL (SELECT id FROM queue_delayed LIMIT {COUNT_MAX + 1})
    UNION ALL {_OPEN_OF_REDIS}"""
_CLAIMED = f"""(SELECT unnest(jobs) AS id FROM queue_claims LIMIT {COUNT_MAX + 1})
    UNION ALL {_OPEN_OF_REDIS}"""
COUNT_WAITING = f"SELECT count(*) FROM ({_WAITING}) AS open"
COUNT_CLAIMED = f"SELECT count(*) FROM ({_CLAIMED}) AS open"


async def search_jobs(
    pool: asyncpg.Pool, wanted: JobFilter, keys: list[str], *, before: int | None, limit: int
) -> RecordPage:
    """The jobs that `wanted` leaves, newest first, older than the job with the number `before`.

    `keys` are the forms in which queues store its key, or the beginning of it.
    """
    high = LAST_ID if before is None else before
    low = 0
    if wanted.until is not None:
        high = min(high, await _first_after(pool, _shifted(wanted.until, DISORDER), LAST_ID))
    if wanted.since is not None:
        low = await _first_after(pool, _shifted(wanted.since, -DISORDER), 0)
    is_open = wanted.status == "queued" or wanted.status in RUNNING
    count = COUNT_CLAIMED if wanted.status in RUNNING else COUNT_WAITING
    is_few = is_open and await pool.fetchval(count) <= COUNT_MAX
    statement, arguments = search(wanted, keys, is_few=is_few, low=low, high=high, limit=limit + 1)
    rows = await pool.fetch(statement, *arguments)
    ends = rows[0]
    records = [_record(row) for row in rows if row["id"] is not None]
    if len(records) > limit:
        return RecordPage(records=records[:limit], before=records[limit - 1].id)
    if ends["looked_at"] < ends["most"] and not ends["is_cut"]:
        return RecordPage(records=records, before=None)
    return RecordPage(
        records=records, before=ends["last_id"], searched_until=ends["searched_until"]
    )


def search(
    wanted: JobFilter,
    keys: list[str],
    *,
    is_few: bool = False,
    low: int = 0,
    high: int = LAST_ID,
    limit: int = 50,
) -> tuple[str, list[Any]]:
    """The statement and its arguments. `is_few`: so few jobs are open that all are looked at.

    What is not asked for has no condition, because one plan for all cases would use no index.
    """
    given = _Arguments()
    bounds = f"id < {given(high)} AND id >= {given(low)}"
    source = _KEPT if wanted.payload else "background_jobs"
    named = _named(wanted, keys, bounds, given, is_few=is_few)
    index = _index(wanted, given) if named is None else ""
    most = COSTLY_ROWS if named or index or wanted.payload else SEARCH_ROWS
    if named:
        # LEFT JOIN, so that a job counts as looked at also where nothing of it is kept.
        columns = CHECKED + (", job" if wanted.payload else "")
        rows = f"""SELECT n.id, {columns} FROM (
        SELECT id FROM ({named}) AS named WHERE {bounds} ORDER BY id DESC LIMIT {most}
    ) AS n LEFT JOIN LATERAL (SELECT * FROM {source} WHERE id = n.id) AS j ON TRUE"""
    else:
        rows = f"SELECT * FROM {source} WHERE {index}{bounds} ORDER BY id DESC LIMIT {most}"
    checks = " AND ".join(_checks(wanted, keys, given)) or "TRUE"
    is_whole = "TRUE"
    if wanted.payload or wanted.error is not None:
        # A text is not read before it is known to fit; the first one always does.
        length = "coalesce(octet_length(job), 0)" if wanted.payload else "0"
        length += " + coalesce(octet_length(error), 0)" if wanted.error is not None else ""
        before = f"sum({length}) OVER (ROWS UNBOUNDED PRECEDING) - ({length})"
        rows = f"SELECT s.*, {before} AS bytes FROM ({rows}) AS s"
        is_whole = f"bytes <= {SEARCH_BYTES}"
        checks = f"CASE WHEN {is_whole} THEN {checks} END"
    full = given(limit)
    statement = f"""
WITH looked_at AS MATERIALIZED (
    SELECT id, created_at, {is_whole} AS is_whole, {checks} AS fits FROM ({rows}) AS s
), page AS MATERIALIZED (
    SELECT id FROM looked_at WHERE fits LIMIT {full}
), ends AS (
    SELECT count(*) AS looked_at, {most} AS most, coalesce(bool_or(NOT is_whole), FALSE) AS is_cut,
           min(id) FILTER (WHERE is_whole) AS last_id,
           min(created_at) FILTER (WHERE is_whole) AS searched_until
    FROM looked_at WHERE (SELECT count(*) FROM page) < {full}
)
SELECT ends.*, {COLUMNS}
FROM ends LEFT JOIN page ON TRUE
LEFT JOIN LATERAL (SELECT * FROM background_jobs WHERE id = page.id) AS b ON TRUE
ORDER BY page.id DESC
"""
    return statement, given.values


class _Arguments:
    """The arguments of a statement; a call adds one, and returns how the statement names it."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


def _named(
    wanted: JobFilter, keys: list[str], bounds: str, given: _Arguments, *, is_few: bool
) -> str | None:
    """The numbers of the jobs that come into question, in any order; None where an index has it."""
    if wanted.key is not None and wanted.key_start is None:
        # Few, but for a key that is used again and again. OFFSET, so that the planner does not look
        # for the key in the order of the numbers.
        named = given(keys)
        return f"""(SELECT background_job_id AS id FROM saq_jobs
             WHERE key = ANY ({named}::text[]) OFFSET 0)
            UNION ALL
            SELECT found.id FROM unnest({named}::text[]) AS k,
            LATERAL (SELECT id FROM job_archive WHERE key = k AND {bounds}
                     ORDER BY id DESC LIMIT {COSTLY_ROWS}) AS found"""
    if is_few:
        open_jobs = _CLAIMED if wanted.status in RUNNING else _WAITING
        return f"SELECT DISTINCT id FROM ({open_jobs}) AS each"
    return None


def _index(wanted: JobFilter, given: _Arguments) -> str:
    """The condition for which there is an index, in the order of the jobs' numbers."""
    is_bad = wanted.status in BAD or wanted.error is not None
    if is_bad and wanted.task is not None:
        # as in 0022_search_jobs.sql
        return f"(CASE WHEN is_bad THEN task END) = {given(wanted.task)} AND "
    if is_bad:
        return "is_bad AND "
    if wanted.task is not None:
        return f"task = {given(wanted.task)} AND "
    if wanted.queue not in (None, QUEUE_NAME):
        return f"queue = {given(wanted.queue)} AND queue <> '{QUEUE_NAME}' AND "
    return ""


def _checks(wanted: JobFilter, keys: list[str], given: _Arguments) -> Iterator[str]:
    """What is checked of each job that is looked at; the cheap conditions first."""
    for column, value in (
        ("status", wanted.status),
        ("task", wanted.task),
        ("queue", wanted.queue),
        ("worker_id", wanted.worker),
    ):
        if value is not None:
            yield f"{column} = {given(value)}"
    if wanted.since is not None:
        yield f"created_at >= {given(wanted.since)}"
    if wanted.until is not None:
        yield f"created_at < {given(wanted.until)}"
    if wanted.key_start is not None:
        yield f"""EXISTS (SELECT FROM unnest({given(keys)}::text[]) AS start
            WHERE starts_with(key, start))"""
    if wanted.error is not None:
        yield f"is_bad AND strpos(error, {given(wanted.error)}) > 0"
    for each in wanted.payload:
        path, as_json, text = given(each.names), given(each.as_json), given(each.value)
        yield f"saq_job_has(job, {path}, {as_json}, {text})"


async def _first_after(pool: asyncpg.Pool, time: datetime, otherwise: int) -> int:
    found = await pool.fetchval(FIRST_AFTER, time)
    return otherwise if found is None else int(found)


def _shifted(moment: datetime, by: timedelta) -> datetime:
    """A little earlier or later; the same where there is no such year."""
    try:
        return moment + by
    except OverflowError:
        return moment


def _record(row: asyncpg.Record) -> JobRecord:
    return JobRecord(**{found.name: row[found.name] for found in fields(JobRecord)})
