"""The invariants I1 to I6, checked against the ledgers after every fault."""

from collections import defaultdict
from collections.abc import Iterable
from itertools import pairwise

import asyncpg

from tests.faults.ledger import Run
from tests.service.queue.postgres.places import MISPLACED

# The row's own jobs; ticks of schedules wait in the table for ever.
UNENDED = (
    "SELECT * FROM saq_jobs"
    " WHERE status IN ('new', 'queued', 'active', 'aborting') AND key NOT LIKE 'cron:%'"
)


def count_lost(acknowledged: Iterable[str], runs: Iterable[Run]) -> int:
    """I1: acknowledged enqueues that never ran to their end."""
    ended = {run.key for run in runs if run.ended_at is not None}
    return len(set(acknowledged) - ended)


def count_ended_twice(runs: Iterable[Run], victims: set[int]) -> int:
    """I2: jobs that ran to their end more than once, runs in a worker that was hurt aside.

    Such a worker may have done the work and died before it could say so.
    """
    ends: dict[str, int] = defaultdict(int)
    for run in runs:
        ends[run.key] += run.ended_at is not None and run.pid not in victims
    return sum(count > 1 for count in ends.values())


def count_unexplained_starts(runs: Iterable[Run], victims: set[int]) -> int:
    """I2 and I4: starts of a job beyond the first, of which no hurt worker is the cause."""
    starts: dict[str, int] = defaultdict(int)
    for run in runs:
        starts[run.key] += run.pid not in victims
    return sum(max(count - 1, 0) for count in starts.values())


def count_overlaps(runs: Iterable[Run], victims: set[int]) -> int:
    """I3: runs of a job that began before its previous run had ended, in workers nobody hurt."""
    by_key: dict[str, list[Run]] = defaultdict(list)
    for run in runs:
        if run.pid not in victims:
            by_key[run.key].append(run)
    return sum(
        first.ended_at is not None and second.started_at < first.ended_at
        for of_key in by_key.values()
        for first, second in pairwise(of_key)
    )


async def fetch_unended(database: asyncpg.Pool) -> list[asyncpg.Record]:
    """Jobs that still wait or say that they run, as their rows have them."""
    return list(await database.fetch(UNENDED))


async def count_unended(database: asyncpg.Pool) -> int:
    """I5: jobs that still wait or say that they run."""
    count: int = await database.fetchval(f"SELECT count(*) FROM ({UNENDED}) AS unended")
    return count


async def count_connections(database: asyncpg.Pool) -> int:
    """I6: connections to this database, the checker's own aside."""
    count: int = await database.fetchval(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
        " AND application_name <> 'checker'"
    )
    return count


async def count_history_differs(database: asyncpg.Pool) -> int:
    """Jobs that the history has twice, or whose end it does not tell as their status does."""
    count: int = await database.fetchval(
        "SELECT count(*) - count(DISTINCT id) + count(*) FILTER ("
        "   WHERE (finished_at IS NOT NULL) <> (status IN ('complete', 'failed', 'aborted'))"
        "   OR is_bad <> (status IN ('failed', 'aborted')) OR created_at IS NULL)"
        " FROM background_jobs"
    )
    return count


async def count_misplaced(database: asyncpg.Pool) -> int:
    """Jobs that the narrow tables do not have as their rows say."""
    count: int = await database.fetchval(f"SELECT count(*) FROM ({MISPLACED}) AS misplaced")
    return count
