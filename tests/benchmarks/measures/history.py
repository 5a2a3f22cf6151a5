"""Pages of the list of jobs, with each filter, out of ten million ended jobs; the console too."""

import time
from datetime import UTC, datetime, timedelta

import asyncpg

from service.db import QUEUE_SESSION
from service.queue.job_filter import JobFilter, PayloadField
from service.queue.tables.job_search import LAST_ID, search, search_jobs
from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values, console_pages, percentiles
from tests.benchmarks.measures.plans import read_plan
from tests.benchmarks.stand import Stand

PAGES = 20  # of each filter, one after the other
PART = 500_000  # rows in one statement
# A tenth of the jobs are of other queues, one in a hundred has failed, one in a thousand was
# aborted; there are twenty tasks, one of which ran a hundred times only.
FILL = """
INSERT INTO job_archive (key, queue, task, status, attempts, error, worker_id, created_at,
                         scheduled_at, started_at, finished_at, is_bad)
SELECT 'job-' || n, CASE WHEN n % 10 = 3 THEN 'mail' ELSE 'default' END,
       CASE WHEN n % 100000 = 77 THEN 'rare' ELSE 'task' || n % 20 END, status, 1,
       CASE WHEN status <> 'complete'
            THEN repeat('  File "tasks.py", line 7' || chr(10), 40) || 'RuntimeError: no' END,
       'worker-' || n % 7,
       at, at, at, at, status <> 'complete'
FROM (SELECT n, clock_timestamp() - (10000000 - n) * INTERVAL '0.5 s' AS at,
             CASE WHEN n % 1000 = 501 THEN 'aborted' WHEN n % 100 = 27 THEN 'failed'
                  ELSE 'complete' END AS status
      FROM generate_series($1::bigint, $2::bigint) AS n) AS made
"""
# Of one in fifty the row is still kept, with its payload.
KEPT = """
INSERT INTO saq_jobs (key, job, queue, status, task, created_at, finished_at, is_bad, expire_at)
SELECT 'kept-' || n, convert_to('{"function":"task7","key":"kept-' || n || '","queue":"default",'
       '"kwargs":{"user":{"id":' || n % 1000 || '},"text":"' || repeat('x', 200) || '"}}', 'UTF8'),
       'default', 'complete', 'task' || n % 20, now(), now(), FALSE, 4102444800
FROM generate_series(1, $1::bigint) AS n
"""
USER = PayloadField(path="user.id", value="7")
WEEK = timedelta(days=7)
FILTERS: dict[str, JobFilter] = {
    "no filter": JobFilter(),
    "complete": JobFilter(status="complete"),
    "failed": JobFilter(status="failed"),
    "aborted": JobFilter(status="aborted"),
    "waiting": JobFilter(status="queued"),
    "running": JobFilter(status="active"),
    "a task": JobFilter(task="task7"),
    "a rare task": JobFilter(task="rare"),
    "a task, failed": JobFilter(task="task7", status="failed"),
    "a task, none failed": JobFilter(task="task8", status="failed"),
    "another queue": JobFilter(queue="mail"),
    "a worker": JobFilter(worker="worker-3"),
    "a task, a worker that ran none": JobFilter(task="task7", worker="nobody"),
    "a worker that ran none": JobFilter(worker="nobody"),
    "an hour, three weeks ago": JobFilter(
        since=datetime.now(UTC) - 3 * WEEK, until=datetime.now(UTC) - 3 * WEEK + timedelta(hours=1)
    ),
    "a key": JobFilter(key="job-777"),
    "a part of keys": JobFilter(key="job-77*"),
    "a text in errors": JobFilter(error="RuntimeError"),
    "a text in no error": JobFilter(error="TimeoutError"),
    "a payload": JobFilter(payload=(USER,)),
    "a payload of no job": JobFilter(payload=(USER, PayloadField(path="text", value="y"))),
    "a payload, failed": JobFilter(status="failed", payload=(USER,)),
}


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name), sizes.jobs)
    async with asyncpg.create_pool(
        dsn, min_size=1, max_size=1, command_timeout=600, server_settings=QUEUE_SESSION
    ) as pool:
        for first in range(1, sizes.history, PART):
            await pool.execute(FILL, first, min(first + PART - 1, sizes.history))
        await pool.execute(KEPT, sizes.history // 50)
        await pool.execute("VACUUM ANALYZE job_archive, saq_jobs")
        return {
            "rows": await pool.fetchval("SELECT count(*) FROM job_archive"),
            "mib": await pool.fetchval("SELECT pg_total_relation_size('job_archive')") / 2**20,
            "filters": {what: await _pages(pool, each) for what, each in FILTERS.items()},
            "console": await console_pages.look(pool, dsn, sizes),
        }


async def _pages(pool: asyncpg.Pool, wanted: JobFilter) -> Values:
    """What the pages with a filter took, and how the last one was read."""
    keys = [(wanted.key or "").removesuffix("*")]
    took: list[int] = []
    found = 0
    before: int | None = None
    for _ in range(PAGES):
        began = time.monotonic_ns()
        page = await search_jobs(pool, wanted, keys, before=before, limit=50)
        took.append(time.monotonic_ns() - began)
        found += len(page.records)
        if page.before is None:
            break
        before = page.before
    return percentiles(took) | {"jobs": found, "plan": await _plan(pool, wanted, keys, before)}


async def _plan(pool: asyncpg.Pool, wanted: JobFilter, keys: list[str], before: int | None) -> str:
    """The indexes that a page uses, and how many pages of 8 KiB it reads."""
    is_few = wanted.status in ("queued", "active")
    statement, arguments = search(wanted, keys, is_few=is_few, high=before or LAST_ID)
    return await read_plan(pool, statement, arguments)


MEASURE = Measure(
    name="history",
    cases=("pages",),
    contenders=("moorage",),
    run=run,
    rounds=1,
)
