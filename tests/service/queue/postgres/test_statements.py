"""What the hot statements cost, however full the tables are."""

import asyncio
import re
from typing import Any

import asyncpg
import pytest

from service.queue.postgres import claims, statements
from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import put
from tests.service.queue.postgres.protocol import text_of


async def test_nobody_is_notified_while_nobody_waits(
    queue: PostgresQueue, other: PostgresQueue, database: str
) -> None:
    heard: list[str] = []
    connection = await asyncpg.connect(database)
    try:
        for channel in (queue.channel, f"moorage:{other.owner}"):
            await connection.add_listener(channel, lambda *message: heard.append(message[-1]))
        await put(queue)
        await asyncio.sleep(0.2)
        assert heard == []
        waiting = asyncio.create_task(other.dequeue())
        await waiting
        waiting = asyncio.create_task(other.dequeue())
        await asyncio.sleep(0.5)
        await put(queue)
        await asyncio.wait_for(waiting, 2)
        assert statements.WAKE in heard
    finally:
        await connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "CLAIM",
        "CLAIM_MORE",
        "CLAIM_SEVERAL",
        "PROMOTE",
        "WRITE_OUTCOMES",
        "RESCUE",
        "OWNED",
        "ABORT",
    ],
)
async def test_hot_statement_reads_no_table_from_end_to_end(
    queue: PostgresQueue, statement: str
) -> None:
    arguments: dict[str, list[Any]] = {
        "CLAIM": ["default", 10, "w", [], False, [], False],
        "CLAIM_MORE": ["default", 10, "w", [], False, 0, 0, 0],
        "CLAIM_SEVERAL": [["default", "mail"], 10, "w", [], False, [], False, [3, 7]],
        "PROMOTE": [["default"]],
        "WRITE_OUTCOMES": [["k"], [1], ["complete"], [None], [None], [0.0], [0], [60]],
        "RESCUE": ["w", ["default"], 12.0],
        "OWNED": [["default"], "w"],
        "ABORT": ["k", "default", "x"],
    }
    plan = "\n".join(
        row[0] for row in await queue.fetch("EXPLAIN " + text_of(statement), *arguments[statement])
    )
    assert "Seq Scan on saq_jobs" not in plan, plan
    assert "saq_jobs_" in plan


async def test_claim_reads_none_of_the_jobs_that_are_not_due(queue: PostgresQueue) -> None:
    rows = 10_000  # `make bench` has a million
    for status, scheduled, is_delayed in (
        ("queued", "0", "FALSE"), ("queued", "4102444800", "TRUE"), ("complete", "0", "FALSE"),
    ):  # fmt: skip
        await queue.pool.execute(
            "INSERT INTO saq_jobs (key, job, queue, status, scheduled, is_delayed, task, expire_at)"
            f" SELECT '{status}{is_delayed}' || n, '{{\"function\": \"sleep\"}}', 'default',"
            f" '{status}', {scheduled}, {is_delayed}, 'sleep', 4102444800"
            f" FROM generate_series(1, {rows}) AS n",
            timeout=60,
        )
    (row,) = await queue.fetch("SELECT count(*) FROM saq_jobs")
    assert row["count"] == 3 * rows
    plan = await queue.pool.fetch(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + claims.CLAIM,
        "default",
        10,
        "w",
        [],
        False,
        [],
        False,
    )
    text = "\n".join(line[0] for line in plan)
    removed = [int(found) for found in re.findall(r"Rows Removed by Filter: (\d+)", text)]
    assert sum(removed) < 100, text
