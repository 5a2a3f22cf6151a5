"""No statement of the queue reads more than it needs, whatever the planner's statistics say.

Each is planned as in the engine (once, for any arguments) while the statistics are those of another
time: of an empty table, of only ended jobs, of a backlog that is gone.
"""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import asyncpg
import pytest

from service.db import QUEUE_SESSION
from service.queue.job import BAD
from service.queue.job_filter import JobFilter, PayloadField
from service.queue.postgres import (
    bulk_steps,
    claims,
    outcomes,
    retention,
    statements,
    stock_clients,
    surroundings,
)
from service.queue.redis import redis_history
from service.queue.schedules import scheduler, store
from service.queue.sqs import sqs_queue
from service.queue.tables import (
    bulk_runner,
    bulk_table,
    job_history,
    job_search,
    table_statements,
)
from service.queue.tables.job_search import search

ROWS = 20_000  # of each kind of job; a page of the table holds about ten
PAGES = 250
ENDED = ("complete", "failed", "aborted")
# Statements that have to read more, each up to a limit of its own.
MORE_PAGES = {
    "statements.STATS": 5 * ROWS,  # counts up to a hundred thousand of each kind
    "statements.PROMOTE": 25_000,  # moves a thousand rows
    "statements.ITERATE": 6_000,  # skips what has another status, by key
    "table_statements.PRUNE_HISTORY": 1_500,  # the oldest thousand
    "redis_history.UNFINISHED": 2_000,  # the newest ten thousand
    "statements.OWNED": 500,  # each of a hundred running jobs
    "statements.PAGE": 1_000,
    "retention.PRUNE_JOBS": 10_000,  # the next thousand, of which all may go
    "retention.PRUNE_CLAIMS": 500,  # each of a hundred running jobs
    "sqs_queue.UNSENT": 10 * ROWS,  # each waiting job, until a hundred have no message
    "sqs_queue.FORGOTTEN": 10_000,  # the oldest two thousand
    "surroundings.AROUND": 1_100,  # the thousand jobs before it
    "job_history.CAUSES": 1_000,  # the newest five thousand
    "job_history.CAUSES_OF_TASK": 1_000,
    "job_search.COUNT_WAITING": 3 * ROWS + 500,  # counts up to a hundred thousand
    "job_search.few_waiting": 3 * ROWS + 1_000,
    "job_search.few_running": 600,  # each of a hundred running jobs
}
# A page of fifty jobs, each read by its number; and one for which as much is looked at as may be.
FULL_PAGE = 350
SEARCHED_PAGE = 2_000
SEARCHED = (
    "key_start", "default_queue", "worker", "aborted", "waiting", "times", "error", "payload",
    "failed_payload", "all",
)  # fmt: skip
MORE_PAGES |= {f"job_search.{name}": SEARCHED_PAGE for name in SEARCHED}
# Triggers that fire once for a statement; and those for each job, but not for claims and ends.
ONCE = {"archive_deleted_jobs", "place_new_jobs"}
MOVING = {"check_changed_job", "follow_changed_job"}
NAMES = ["default", ["sleep"], ["sleep"], ["* * * * *"], [None], ["UTC"], [False], [0], "w"]
WAS = json.dumps([
    {"id": number, "status": "failed", "priority": 0, "scheduled": 1, "is_delayed": False,
     "attempts": 1, "crashes": 0, "lease": 0, "finished_at": None, "expire_at": None}
    for number in (7, 8)
])  # fmt: skip
ARGUMENTS: dict[str, list[Any]] = {
    "statements.ENQUEUE": [
        ["new", "queued7"],
        [b"{}", b"{}"],
        [0, 0],
        [None, None],
        [0, 0],
        ["sleep", "sleep"],
        "default",
        "saq:default",
        False,
    ],
    "statements.ENQUEUE_CHILDREN": [
        ["new", "queued7"],
        [b"{}", b"{}"],
        [0, 0],
        [None, None],
        [0, 0],
        ["sleep", "sleep"],
        "default",
        "saq:default",
        False,
        '{"new": "queued7"}',
    ],
    "claims.CLAIM": ["default", 10, "w", ["other"], False, [7], False],
    "claims.CLAIM_MORE": ["default", 10, "w", ["other"], False, 3, 7, 0],
    "claims.TURN": [
        *(["active5", "active6"], [1, 1], ["complete", "queued"], [None, "x"], [None, None]),
        *([0, 1], [0, 0], [60, 60], "default", 10, "w", ["other"], False, 3, 7, 0),
    ],
    "claims.CLAIM_SEVERAL": [
        ["default", "mail"],
        10,
        "w",
        ["other"],
        False,
        [7],
        False,
        [3, 7],
    ],
    "statements.PROMOTE": [["default", "mail"]],
    "statements.WRITE_OUTCOMES": [
        ["active5", "active6"],
        [1, 1],
        ["complete", "queued"],
        [None, "x"],
        [None, None],
        [0, 1],
        [0, 0],
        [60, 60],
    ],
    "outcomes.DELETE_UNKEPT": [["complete5", "complete6"]],
    "statements.WAKE_ANOTHER": ["w", ["default"]],
    "statements.ABORT": ["queued7", "default", "x"],
    "stock_clients.SHOW_ABORTED": ["aborted5", "default"],
    "statements.RETRY_ENDED": ["complete7", "default", b"{}"],
    "statements.OWNED": [["default", "mail"], "w"],
    "table_statements.RENEW": ["w", "default", 12, ["default", "mail"], "pool", 10, True],
    "statements.RESCUE": ["w", ["default", "mail"], 0],
    "statements.IS_SUPERSEDED": ["w", "release", 3],
    "table_statements.GIVE_UP_LEASE": ["v", ["default", "mail"]],
    "statements.RESCUE_FROM_STOCK": [["default", "mail"]],
    "retention.PRUNE_JOBS": [0],
    "retention.CLEAR": ["default", "failed", None, 10],
    "retention.KEPT": ["default", "failed", "sleep", 10],
    "statements.GET": [["default", "mail"], ["queued7", "complete7"]],
    "statements.STATUS": ["default", "queued7"],
    "statements.ITERATE": ["default", ["complete"], "complete", 100],
    "statements.PAGE": ["default", 50, 0],
    "statements.STATS": ["default"],
    "table_statements.CLAIM_REPORT": ["default", 5],
    "table_statements.LIVE_WORKERS": ["default"],
    "table_statements.NOTE_RUNS": ["pool", 1, 2, 3],
    "table_statements.READ_RUNS": [24.5],
    "table_statements.LIST_WORKERS": ["default"],
    "table_statements.DRAIN": ["w", "default", "saq:pauses"],
    "table_statements.PAUSE": ["mail", "saq:mail", "saq:pauses"],
    "table_statements.RESUME": ["mail", "saq:mail", "saq:pauses"],
    "statements.WORKERS": ["default"],
    "statements.WRITE_WORKER": ["w", "{}", "default", "{}", 60],
    "statements.UPDATE_HELD": ["active5", 1, 0.5, b"{}"],
    "statements.UPDATE_WAITING": ["queued7", "default", b"{}", 0, True],
    "stock_clients.SHOW": [["active5", "active6"], [1, 1], ["}", "}"]],
    "store.LIST": ["default", None],
    "store.CREATE": ["default", "n", "sleep", "* * * * *", None, "UTC", "{}", False, True, 0],
    "store.ENABLE": ["default", "n", 0],
    "store.DISABLE": ["default", "n"],
    "store.DELETE": ["default", "n"],
    "scheduler.SYNC": NAMES,
    "scheduler.NEXT": ["default", ["sleep"]],
    "scheduler.DUE": ["default", ["sleep"]],
    "scheduler.MOVE_ON": ["default", ["n"], [0], ["queued7"], [None]],
    "redis_history.INSERT": ["new", "default", "sleep", 0, "queued7"],
    "redis_history.DELETE": [7, "default"],
    "redis_history.CHANGE": [
        "default",
        ["queued7"],
        ["active"],
        [1],
        [0],
        [None],
        ["w"],
        [0],
        [0],
        [0],
    ],
    "redis_history.ASKED": ["default", "queued7", "x"],
    "redis_history.PUSHED": ["default", ["queued7"], "x"],
    "redis_history.DELETE_UNPUSHED": ["default", ["queued7"]],
    "redis_history.UNFINISHED": ["default"],
    "redis_history.COUNTS": ["default", 60, 1000],
    "sqs_queue.UNSENT": ["default", 900],
    "sqs_queue.UNSENT_OF": ["default", 900, ["queued7"]],
    "sqs_queue.SENT": [["queued7"], [0]],
    "sqs_queue.UNSEND": ["queued7", "default"],
    "sqs_queue.START": [["queued7"], [0], "w", "default"],
    "sqs_queue.WAITING": [["queued7"], [0], "default"],
    "sqs_queue.FORGOTTEN": ["default", True],
    "surroundings.AROUND": [7],
    "job_search.FIRST_AFTER": ["2000-01-01"],
    "bulk_table.GET": [1],
    "bulk_table.CHANGED": [[1]],
    "bulk_table.PAGE": [None, 50],
    "bulk_table.BEGIN": ["retry", None, "{}", None, "a"],
    "bulk_table.UNDO": [1, "a"],
    "bulk_table.SWITCH": [1, "running", None],
    "bulk_table.CLAIM": ["w"],
    "bulk_table.LEAVE": ["w"],
    "bulk_table.HOLD": [1, "w"],
    "bulk_table.MOVE": [1, 2, 3],
    "bulk_runner.OF_KEYS": [["queued7", "gonecomplete7"]],
    "bulk_runner.STEP_BEFORE": [1, 7],
    "bulk_steps.SHOW_ABORTED": [[7, 8]],
    **{
        f"bulk_steps.{kind} {action}": [[7, 8], 1, given, *more]
        for kind in ("CHANGE", "LEFT")
        for action, given, *more in (
            ("retry", "2100-01-01"),
            ("delete", "2100-01-01"),
            ("cancel", "x", ["queued"]),
            ("run-now", "now"),
            ("priority", 5),
        )
    },
    **{
        f"bulk_steps.{kind} {action}": [WAS, *more]
        for kind in ("RESTORE", "LEFT_BACK")
        for action, *more in (("retry",), ("cancel",), ("run-now",), ("priority", 5))
    },
    "job_history.FIND": ["gonecomplete7", "default"],
    "job_history.ATTEMPTS": [1],
    "job_history.PARENT_OF": [7],
    "job_history.CHILDREN": ["queued7", 1, 51],
    "job_history.CAUSES": [5000],
    "job_history.CAUSES_OF_TASK": [5000, "sleep"],
}


def _of_bulk_steps() -> Iterator[tuple[str, str]]:
    for kind in ("CHANGE", "LEFT", "RESTORE", "LEFT_BACK"):
        for action, statement in getattr(bulk_steps, kind).items():
            yield f"bulk_steps.{kind} {action}", statement


def all_statements() -> Iterator[tuple[str, str]]:
    """Every statement of the engine, by its module and name."""
    for module in (
        statements,
        claims,
        table_statements,
        outcomes,
        retention,
        stock_clients,
        surroundings,
        store,
        scheduler,
        redis_history,
        sqs_queue,
        job_history,
        job_search,
        bulk_table,
        bulk_runner,
        bulk_steps,
    ):
        for name, value in vars(module).items():
            is_whole = name.isupper() and not name.startswith("_")
            if is_whole and re.match(r"\s*\(?(WITH|SELECT|INSERT|UPDATE|DELETE)\s", str(value)):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value
    yield from _of_bulk_steps()
    for name, (statement, _) in searches().items():
        yield name, statement


def searches() -> dict[str, tuple[str, list[Any]]]:
    """The statement and its arguments for each way in which a page of the history is read."""
    later, earlier = datetime(2100, 1, 1, tzinfo=UTC), datetime(2000, 1, 1, tzinfo=UTC)
    user = PayloadField(path="user.id", value="7")
    asked = {
        "newest": JobFilter(),
        "task": JobFilter(task="rare"),
        "failed": JobFilter(status="failed"),
        "failed_task": JobFilter(status="failed", task="sleep"),
        "failed_task_rare": JobFilter(status="failed", task="rare"),
        "queue": JobFilter(queue="mail"),
        "key": JobFilter(key="gonecomplete7"),
        # nothing is found, so that as much as may be is looked at
        "key_start": JobFilter(key="nobody*"),
        "default_queue": JobFilter(queue="nobody"),
        "worker": JobFilter(worker="nobody"),
        "aborted": JobFilter(status="aborted"),
        "waiting": JobFilter(status="queued"),
        "times": JobFilter(since=later),
        "error": JobFilter(error="nobody"),
        "payload": JobFilter(payload=(user,)),
        "failed_payload": JobFilter(task="sleep", error="x", payload=(user,)),
        "all": JobFilter(
            task="sleep", queue="default", worker="w", since=earlier, until=later,
            key="n*", payload=(user,),
        ),
    }  # fmt: skip
    found = {f"job_search.{name}": search(each, [each.key or ""]) for name, each in asked.items()}
    few = {"few_waiting": "queued", "few_running": "active"}
    return found | {
        f"job_search.{name}": search(JobFilter(status=status), [], is_few=True)
        for name, status in few.items()
    }


async def add(db: asyncpg.Connection, status: str, *, task: str = "sleep", more: str = "") -> None:
    """Twenty thousand jobs, due at once in no order of their keys; as many that had such an end."""
    if status in ENDED:
        await db.execute(
            "INSERT INTO job_archive (key, queue, task, status, scheduled_at, finished_at, is_bad)"
            f" SELECT 'gone{status}' || n, 'default', '{task}', '{status}', now(), now(),"
            f" {status in BAD} FROM generate_series(1, {ROWS}) AS n"
        )
    await db.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, task, expire_at, is_delayed, priority,"
        " scheduled)"
        f" SELECT '{status}{more}' || n, '{{\"function\": \"{task}\"}}', 'default', '{status}',"
        f" '{task}', 4102444800, {bool(more)}, n * 7919 % 100,"
        f" {4102444800 if more == 'later' else 0} + n * 7919 % 1009"
        f" FROM generate_series(1, {ROWS}) AS n"
    )


async def analyzed_while_empty(db: asyncpg.Connection) -> None:
    await db.execute("VACUUM ANALYZE")
    for status, more in (
        ("queued", ""), ("queued", "later"), ("queued", "late"), ("complete", ""),
    ):  # fmt: skip
        await add(db, status, more=more)


async def analyzed_with_ended_jobs(db: asyncpg.Connection) -> None:
    await add(db, "complete")
    await db.execute("VACUUM ANALYZE")
    await add(db, "queued")
    await add(db, "failed")


async def analyzed_with_a_backlog_that_is_gone(db: asyncpg.Connection) -> None:
    await add(db, "queued")
    await db.execute("VACUUM ANALYZE")
    await db.execute("UPDATE saq_jobs SET status = 'complete', key = 'complete' || key")
    await db.execute("VACUUM")
    await add(db, "queued")


async def analyzed_with_a_backlog(db: asyncpg.Connection) -> None:
    """Rows as wide as real ones: they once made the claim read the whole backlog for ten jobs."""
    for rows, status in ((1_000, "complete"), (ROWS, "queued")):
        await db.execute(
            "INSERT INTO saq_jobs (key, job, queue, status, task, scheduled, expire_at)"
            " SELECT gen_random_uuid()::text, repeat('x', 250)::bytea, 'default', $1, 'sleep',"
            " extract(epoch FROM now())::bigint, 4102444800 FROM generate_series(1, $2)",
            status,
            rows,
        )
        await db.execute("UPDATE saq_jobs SET lease = 2 WHERE status = 'complete'")
    await db.execute("VACUUM ANALYZE")


async def analyzed_with_one_task(db: asyncpg.Connection) -> None:
    await add(db, "complete", task="rare")
    await db.execute("VACUUM ANALYZE")
    for table, which in (("saq_jobs", "background_job_id"), ("job_archive", "id")):
        await db.execute(f"UPDATE {table} SET task = 'sleep' WHERE {which} % 1000 > 1")
    await db.execute("VACUUM")
    await add(db, "queued")


def literal(value: Any) -> str:
    """An argument of EXECUTE."""
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"'\\x{value.hex()}'"
    if isinstance(value, list):
        items = (
            "NULL" if item is None
            else f'"\\\\x{item.hex()}"' if isinstance(item, bytes) else f'"{item}"'
            for item in value
        )  # fmt: skip
        return "'{" + ",".join(items) + "}'"
    return f"'{value}'"


async def plan(db: asyncpg.Connection, statement: str, arguments: list[Any]) -> str:
    """The plan of a statement that was run and rolled back."""
    given = f"({', '.join(map(literal, arguments))})" if arguments else ""
    undone = db.transaction()
    await undone.start()
    try:
        # EXPLAIN of the statement itself would plan it for these arguments.
        await db.execute(f"PREPARE hostile AS {statement}")
        found = await db.fetch(
            f"EXPLAIN (ANALYZE, BUFFERS, COSTS OFF, TIMING OFF) EXECUTE hostile{given}"
        )
        await db.execute("DEALLOCATE hostile")
    finally:
        await undone.rollback()
    return "\n".join(row[0] for row in found)


def test_arguments_are_those_of_statements() -> None:
    assert ARGUMENTS.keys() | MORE_PAGES.keys() <= {name for name, _ in all_statements()}


@pytest.mark.parametrize(
    "fill",
    [
        analyzed_while_empty,
        analyzed_with_ended_jobs,
        analyzed_with_a_backlog_that_is_gone,
        analyzed_with_a_backlog,
        analyzed_with_one_task,
    ],
)
async def test_no_statement_reads_more_where_the_statistics_mislead(
    db: asyncpg.Connection, database: str, fill: Any
) -> None:
    for table in ("saq_jobs", "job_archive", "queue_workers"):
        await db.execute(f"ALTER TABLE {table} SET (autovacuum_enabled = off)")
    await fill(db)
    await db.execute(
        "INSERT INTO saq_jobs (key, job, queue, status, task, owner, lease)"
        " SELECT 'active' || n, '{\"function\": \"sleep\"}', 'default', 'active', 'sleep', 'w', 1"
        " FROM generate_series(1, 100) AS n"
    )
    await db.execute(
        "INSERT INTO queue_workers (id, queue, expires_at) SELECT 'w', 'default', now() + '1 hour'"
    )
    await db.execute(
        "INSERT INTO bulk_actions (action, filter, who, first, last, place)"
        " VALUES ('retry', '{}', 'a', 1, 1, 1)"
    )
    engine = await asyncpg.connect(database, server_settings=QUEUE_SESSION, statement_cache_size=0)
    arguments = ARGUMENTS | {name: given for name, (_, given) in searches().items()}
    too_many, fired = {}, {}
    try:
        for name, statement in all_statements():
            shown = await plan(engine, statement, arguments.get(name, []))
            read = re.search(r"Buffers: shared(?: hit=(\d+))?(?: read=(\d+))?", shown)
            pages = sum(int(count or 0) for count in read.groups()) if read else 0
            fired[name] = set(re.findall(r"Trigger (?!for constraint)(\w+)", shown))
            most = FULL_PAGE if name.startswith("job_search.") else PAGES
            if pages > MORE_PAGES.get(name, most):
                too_many[name] = f"{pages} pages\n{shown}"
    finally:
        await engine.close()
    assert not too_many, "\n\n".join(f"{name}: {what}" for name, what in too_many.items())
    assert set().union(*fired.values()) <= {*ONCE, *MOVING}, "the others are for foreign statements"
    for name in ("statements.ENQUEUE", "claims.CLAIM", "claims.CLAIM_MORE", "claims.CLAIM_SEVERAL"):
        assert fired[name] <= ONCE
