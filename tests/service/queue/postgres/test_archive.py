"""The history of a job is its row, and a row of the archive once that is gone."""

from typing import Any

import asyncpg
import pytest
from saq import Job, Status
from saq.queue.postgres import PostgresQueue as StockQueue

from service.queue.postgres.postgres_queue import PostgresQueue
from tests.service.conftest import Ledger, claim, put, rescue

HISTORY = "SELECT * FROM background_jobs ORDER BY id"


async def end(queue: PostgresQueue, status: Status, **options: Any) -> Job:
    job = await queue.enqueue("sleep", seconds=0, **options)
    assert job is not None
    await queue.finish(await claim(queue), status, error="broken" if status != "complete" else None)
    return job


@pytest.mark.parametrize("status", [Status.COMPLETE, Status.FAILED, Status.ABORTED])
@pytest.mark.parametrize("way", ["pruned", "deleted by hand", "taken by us", "taken by stock"])
async def test_history_of_an_ended_job_stays_as_it_was_when_its_row_goes(
    queue: PostgresQueue, db: asyncpg.Connection, stock: StockQueue, way: str, status: Status
) -> None:
    await end(queue, status, key="one")
    await db.execute("UPDATE saq_jobs SET scheduled = scheduled - 1")  # SAQ wants it later
    (before,) = await db.fetch(HISTORY)
    assert before["worker_id"] == queue.owner
    assert None not in (before["created_at"], before["started_at"], before["finished_at"])
    assert before["is_bad"] is (status is not Status.COMPLETE)

    if way == "pruned":
        await db.execute("UPDATE saq_jobs SET expire_at = 1")
        assert await queue.prune() == 1
    elif way == "deleted by hand":
        await db.execute("DELETE FROM saq_jobs")
    elif way == "taken by us":
        assert await queue.enqueue("sleep", seconds=0, key="one")
    else:
        assert await stock.enqueue("sleep", seconds=0, key="one")

    after, *rest = await db.fetch(HISTORY)
    assert after == before
    assert await db.fetchval("SELECT count(*) FROM job_archive") == 1
    assert [(row["key"], row["status"], row["finished_at"], row["is_bad"]) for row in rest] == (
        [("one", "queued", None, False)] if way.startswith("taken") else []
    )
    if rest:
        (new,) = rest
        assert new["id"] > before["id"]
        assert new["created_at"] > before["created_at"]
        assert (new["attempts"], new["worker_id"], new["started_at"]) == (0, None, None)


async def test_a_job_that_is_not_kept_and_one_that_is_cleared_stay_in_the_history(
    queue: PostgresQueue, ledger: Ledger
) -> None:
    await end(queue, Status.COMPLETE, key="unkept", ttl=-1)
    await end(queue, Status.FAILED, key="cleared")
    await queue.prune()
    assert await queue.clear(Status.FAILED) == 1
    assert await queue.pool.fetchval("SELECT count(*) FROM saq_jobs") == 0
    assert await ledger.status("unkept") == "complete"
    assert await ledger.status("cleared") == "failed"
    assert [each.key for each in await queue.list_records(status="failed")] == ["cleared"]


async def test_the_worker_of_the_last_run_is_told_also_while_the_job_waits_again(
    queue: PostgresQueue, other: PostgresQueue, ledger: Ledger
) -> None:
    for key in ("retried", "rescued", "handed back", "by hand"):
        waiting = await put(other, key=key)
        job = await claim(other)
        if key == "retried":
            await other.retry(job, "again")
        elif key == "rescued":
            await rescue(job, by=queue)
        elif key == "handed back":
            await other.hand_back([job])
        else:
            await other.finish(job, Status.FAILED, error="x")
            await queue.retry(waiting, "again")
        row = await ledger.tracked(key)
        assert (row["status"], row["worker_id"]) == ("queued", other.owner)
        assert (row["finished_at"], row["is_bad"]) == (None, False)
        assert row["started_at"] is not None
        await queue.pool.execute(
            "UPDATE saq_jobs SET scheduled = scheduled + 9000, is_delayed = true"
        )


async def test_a_stock_worker_s_run_is_in_the_history(
    queue: PostgresQueue, stock: StockQueue, ledger: Ledger
) -> None:
    for key, status in (("good", Status.COMPLETE), ("bad", Status.FAILED)):
        await stock.enqueue("sleep", seconds=0, key=key)
        row = await ledger.tracked(key)
        assert (row["status"], row["task"], row["started_at"]) == ("queued", "sleep", None)
        assert row["created_at"] is not None
        job = await stock.dequeue(timeout=5)
        assert job is not None
        row = await ledger.tracked(key)
        assert (row["status"], row["finished_at"]) == ("active", None)
        assert row["started_at"] is not None
        await stock.finish(job, status, error="broken" if key == "bad" else None)
        row = await ledger.tracked(key)
        assert (row["status"], row["is_bad"]) == (status, key == "bad")
        assert row["error"] == ("broken" if key == "bad" else None)
        assert row["finished_at"] is not None
    await queue.pool.execute("DELETE FROM saq_jobs")
    assert (await ledger.tracked("bad"))["error"] == "broken"
    assert [each.key for each in await queue.list_records(task="sleep", status="failed")] == ["bad"]


async def test_pages_hold_living_and_archived_jobs_in_the_order_of_their_ids(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    for number in range(12):
        await end(queue, Status.FAILED if number % 4 == 3 else Status.COMPLETE, key=str(number))
    await db.execute("DELETE FROM saq_jobs WHERE key::int % 3 = 0")
    await put(queue, key="12")
    await put(queue, key="13")
    await claim(queue)

    async def pages(**filters: str) -> list[str]:
        keys: list[str] = []
        before = None
        while found := await queue.list_records(before=before, limit=3, **filters):
            keys += [each.key for each in found]
            before = found[-1].id
        return keys

    assert await pages() == [str(number) for number in range(13, -1, -1)]
    assert await pages(task="sleep") == await pages()
    assert await pages(status="failed") == ["11", "7", "3"]
    assert await pages(status="failed", task="sleep") == ["11", "7", "3"]
    assert await pages(status="active") == ["12"]
    assert await pages(status="queued") == ["13"]
    assert await pages(status="complete") == ["10", "9", "8", "6", "5", "4", "2", "1", "0"]
