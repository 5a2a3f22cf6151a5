"""Pages of the list of jobs, with each filter, out of ten million ended jobs."""

import json
import time
from collections.abc import Iterator
from typing import Any

import asyncpg

from service.queue.tables.job_history import list_jobs, listing
from tests.benchmarks import contenders
from tests.benchmarks.measures import Measure, Sizes, Values, percentiles
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
       CASE WHEN status <> 'complete' THEN 'RuntimeError: no' END, 'worker-' || n % 7,
       at, at, at, at, status <> 'complete'
FROM (SELECT n, clock_timestamp() - (10000000 - n) * INTERVAL '0.5 s' AS at,
             CASE WHEN n % 1000 = 501 THEN 'aborted' WHEN n % 100 = 27 THEN 'failed'
                  ELSE 'complete' END AS status
      FROM generate_series($1::bigint, $2::bigint) AS n) AS made
"""
FILTERS: dict[str, dict[str, Any]] = {
    "no filter": {},
    "complete": {"status": "complete"},
    "failed": {"status": "failed"},
    "aborted": {"status": "aborted"},
    "waiting": {"status": "queued"},
    "running": {"status": "active"},
    "a task": {"task": "task7"},
    "a rare task": {"task": "rare"},
    "a task, failed": {"task": "task7", "status": "failed"},
    "a task, none failed": {"task": "task8", "status": "failed"},
    "another queue": {"queue": "mail"},
}


async def run(stand: Stand, name: str, case: str, sizes: Sizes) -> Values:
    dsn = await stand.fresh(contenders.load(name), sizes.jobs)
    async with asyncpg.create_pool(dsn, min_size=1, max_size=1, command_timeout=600) as pool:
        for first in range(1, sizes.history, PART):
            await pool.execute(FILL, first, min(first + PART - 1, sizes.history))
        await pool.execute("VACUUM ANALYZE job_archive")
        return {
            "rows": await pool.fetchval("SELECT count(*) FROM job_archive"),
            "mib": await pool.fetchval("SELECT pg_total_relation_size('job_archive')") / 2**20,
            "filters": {what: await _pages(pool, given) for what, given in FILTERS.items()},
        }


async def _pages(pool: asyncpg.Pool, given: dict[str, Any]) -> Values:
    """What the pages with a filter took, and how the last one was read."""
    took: list[int] = []
    found = 0
    before: int | None = None
    for _ in range(PAGES):
        began = time.monotonic_ns()
        page = await list_jobs(pool, **{"queue": None, **given}, before=before)
        took.append(time.monotonic_ns() - began)
        found += len(page)
        if not page:
            break
        before = page[-1].id
    return percentiles(took) | {"jobs": found, "plan": await _plan(pool, given, before)}


async def _plan(pool: asyncpg.Pool, given: dict[str, Any], before: int | None) -> str:
    """The indexes that a page uses, and how many pages of 8 KiB it reads."""
    asked = given if before is None else given | {"before": before}
    statement = listing(*asked, status=given.get("status"), is_other="queue" in given)
    rows = await pool.fetch(
        f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement}", *asked.values(), 50
    )
    (plan,) = json.loads(rows[0][0])
    nodes = list(_nodes(plan["Plan"]))
    scans = {node.get("Index Name") or node.get("Relation Name") for node in nodes}
    buffers = plan["Plan"]["Shared Hit Blocks"] + plan["Plan"]["Shared Read Blocks"]
    return f"{', '.join(sorted(filter(None, scans)))}: {buffers} pages"


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for child in node.get("Plans", ()):
        yield from _nodes(child)


MEASURE = Measure(
    name="history",
    cases=("pages",),
    contenders=("moorage",),
    run=run,
    rounds=1,
)
