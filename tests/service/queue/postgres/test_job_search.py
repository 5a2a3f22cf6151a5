"""A search of the history looks at so many jobs, says how far it has looked, and can go on."""

from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import pytest

from service.queue.job_filter import JobFilter, PayloadField, RecordPage
from service.queue.postgres.postgres_queue import PostgresQueue
from service.queue.tables.job_search import COSTLY_ROWS, SEARCH_BYTES, SEARCH_ROWS
from tests.service.conftest import claim

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
ROWS = 2 * SEARCH_ROWS + 5


async def fill(db: asyncpg.Connection, count: int) -> None:
    """Ended jobs with the keys 1, 2, …, one a minute; the first one is of a worker of its own."""
    await db.execute(
        "INSERT INTO job_archive (key, queue, task, status, created_at, scheduled_at, finished_at,"
        " is_bad, error, worker_id)"
        " SELECT n::text, 'default', 'sleep', 'failed', $2::timestamptz + n * interval '1 minute',"
        " $2, $2, TRUE, 'error ' || n, CASE n WHEN 1 THEN 'first' ELSE 'other' END"
        " FROM generate_series(1, $1::int) AS made (n) ORDER BY made.n",
        count,
        BEGAN,
    )


async def pages(queue: PostgresQueue, limit: int = 50, **wanted: Any) -> list[RecordPage]:
    found = [await queue.search_records(JobFilter(**wanted), limit=limit)]
    while (before := found[-1].before) is not None:
        found.append(await queue.search_records(JobFilter(**wanted), before=before, limit=limit))
    return found


@pytest.mark.parametrize(
    ("wanted", "rows"),
    [
        ({"worker": "first"}, SEARCH_ROWS),
        ({"key": "1*", "worker": "first"}, SEARCH_ROWS),
        ({"error": "error 1", "worker": "first"}, COSTLY_ROWS),
        ({"status": "failed", "task": "sleep", "worker": "first"}, COSTLY_ROWS),
    ],
)
async def test_a_page_says_how_far_it_has_looked_and_the_next_one_goes_on(
    queue: PostgresQueue, db: asyncpg.Connection, wanted: dict[str, Any], rows: int
) -> None:
    await fill(db, 2 * rows + 5)
    found = await pages(queue, **wanted)
    assert [[each.key for each in page.records] for page in found] == [[], [], ["1"]]
    looked = [page.searched_until for page in found]
    assert looked == [BEGAN + (6 + rows) * MINUTE, BEGAN + 6 * MINUTE, None]
    assert [each.key for each in await queue.list_records(JobFilter(**wanted))] == ["1"]


async def test_a_page_that_is_full_says_no_such_thing(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 5)
    found = await pages(queue, limit=2, error="error")
    assert [[each.key for each in page.records] for page in found] == [
        ["5", "4"],
        ["3", "2"],
        ["1"],
    ]
    assert {page.searched_until for page in found} == {None}
    assert len(await pages(queue, limit=5)) == 1, "no empty page at the end"


async def test_long_payloads_make_a_search_shorter(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    text = "x" * 60_000
    count = 2 * SEARCH_BYTES // len(text) + 5
    blobs = (
        f'{{"function": "sleep", "kwargs": {{"n": {number}, "text": "{text}"}}}}'.encode()
        for number in range(count)
    )
    await db.executemany(
        "INSERT INTO saq_jobs (key, job, queue, status, task, created_at)"
        " VALUES ($1, $2, 'default', 'complete', 'sleep', now())",
        [(str(number), blob) for number, blob in enumerate(blobs)],
    )
    found = await pages(queue, payload=(PayloadField(path="n", value="0"),))
    assert [len(page.records) for page in found] == [0, 0, 1]
    assert found[0].searched_until is not None


async def test_a_blob_that_is_no_json_is_passed_over(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    for number, blob in enumerate((b"{", b"\xff\xfe", b'{"kwargs": {"a": "\\u0000"}}', b"7")):
        await db.execute(
            "INSERT INTO saq_jobs (key, job, queue, status, task, created_at)"
            " VALUES ($1, $2, 'default', 'complete', 'sleep', now())",
            f"bad-{number}",
            blob,
        )
    job = await queue.enqueue("sleep", seconds=0)
    assert job
    found = await queue.list_records(JobFilter(payload=(PayloadField(path="seconds", value="0"),)))
    assert [each.key for each in found] == [job.key]


async def test_times_bound_what_is_read(queue: PostgresQueue, db: asyncpg.Connection) -> None:
    await fill(db, ROWS)
    # enqueued late in a transaction that began twenty seconds before
    late = BEGAN + 5 * MINUTE - timedelta(seconds=20)
    await db.execute("UPDATE job_archive SET created_at = $1 WHERE key = '6'", late)

    async def found(**wanted: Any) -> list[str]:
        page = await queue.search_records(JobFilter(**wanted))
        assert page.before is None, "all of the time was read at once"
        return [each.key for each in page.records]

    assert await found(since=BEGAN + 3 * MINUTE, until=BEGAN + 5 * MINUTE) == ["6", "4", "3"]
    assert await found(until=BEGAN + 3 * MINUTE) == ["2", "1"]
    assert await found(since=BEGAN + 5 * MINUTE, until=BEGAN + 7 * MINUTE) == ["5"]
    assert await found(since=BEGAN + ROWS * MINUTE) == [str(ROWS)]
    assert await found(since=BEGAN + ROWS * MINUTE + MINUTE) == []
    assert await found(until=BEGAN) == []
    await db.execute("DELETE FROM job_archive")
    assert await found(since=BEGAN, until=BEGAN + MINUTE) == []


async def test_waiting_jobs_behind_many_others_are_found_at_once(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    due = await queue.enqueue("sleep", seconds=0)
    later = await queue.enqueue("sleep", seconds=0, delay=60)
    assert due
    assert later
    await fill(db, ROWS)
    for task in (None, "sleep"):
        page = await queue.search_records(JobFilter(status="queued", task=task))
        assert [each.key for each in page.records] == [later.key, due.key]
        assert page.before is None


async def test_a_search_does_not_tell_the_password_in_an_error(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    await fill(db, 2)
    error = "no answer from postgres://app:hunter22@db/shop"
    await db.execute("UPDATE job_archive SET error = $1 WHERE key = '1'", error)
    for text, keys in (("no answer", ["1"]), ("hunter", []), ("app:h", []), ("@db/shop", ["1"])):
        found = await queue.list_records(JobFilter(error=text))
        assert [each.key for each in found] == keys, text


async def test_a_search_goes_on_behind_claims_of_which_nothing_is_kept(
    queue: PostgresQueue, db: asyncpg.Connection
) -> None:
    job = await queue.enqueue("sleep", seconds=7)
    assert job
    held = await claim(queue)
    numbers = "ARRAY (SELECT n FROM generate_series(1000000, 1000000 + $1::int) AS n)"
    await db.execute(
        f"INSERT INTO queue_claims (id, owner, jobs) SELECT 999, 'gone', {numbers}", COSTLY_ROWS
    )
    seven = PayloadField(path="seconds", value="7")
    found = await queue.list_records(JobFilter(status="active", payload=(seven,)))
    assert [each.key for each in found] == [held.key]
