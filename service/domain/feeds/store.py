"""Feeds and their entries in Postgres."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

import asyncpg
from saq import Job

from service.db import Connection
from service.domain.feeds.fetch import Answer
from service.domain.feeds.reading import Feed
from service.queue import JobOptions, JobQueue, build_job
from service.settings import Settings

FEED = "id, url, title, checked_at, error, created_at"
ENTRY = "id, feed_id, url, title, summary, published_at, created_at"
ENTRIES_MAX = 10_000  # of one feed, and those it still holds: some give each entry a new guid


@dataclass(frozen=True, kw_only=True)
class StoredFeed:
    """A feed that is followed; `error` says why its last check found nothing."""

    id: int
    url: str
    title: str | None
    checked_at: datetime | None
    error: str | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class StoredEntry:
    """An entry of a feed; title and summary are plain text."""

    id: int
    feed_id: int
    url: str | None
    title: str
    summary: str
    published_at: datetime | None
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Followed:
    """A feed as it is to be fetched."""

    id: int
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class Changes:
    """Ids of entries that a check has stored, and of those that made room."""

    new: list[int]
    removed: list[int]


@asynccontextmanager
async def transaction_with_jobs(
    pool: asyncpg.Pool, queue: JobQueue, settings: Settings
) -> AsyncIterator[tuple[Connection, list[Job]]]:
    """A transaction, and a list for jobs that are enqueued if and only if it commits.

    Where QUEUE_DSN keeps the jobs elsewhere they are enqueued right after the commit, and a crash
    in between leaves them out.
    """
    jobs: list[Job] = []
    is_joined = settings.queue_dsn is None
    async with pool.acquire() as connection, connection.transaction():
        yield connection, jobs
        if is_joined:
            await queue.enqueue_many(jobs, connection=connection)
    if not is_joined:
        await queue.enqueue_many(jobs)


def refresh_job(queue: JobQueue, feed_id: int, url: str) -> Job:
    """Checks the feed; there is one such job at a time."""
    options = JobOptions(key=f"refresh-feed-{feed_id}")
    return build_job(queue.registry, "refresh_single_feed", {"feed_url": url}, options)


def index_jobs(queue: JobQueue, entry_ids: Sequence[int]) -> list[Job]:
    """Bring the search index to what the entries are now, or to their absence.

    None where no domain has the task.
    """
    if "index_content" not in queue.registry:
        return []
    return [
        build_job(
            queue.registry, "index_content", {"content_type": "feed_entry", "content_id": each}
        )
        for each in entry_ids
    ]


async def add_feed(connection: Connection, url: str) -> StoredFeed | None:
    """The new feed; None where one with this address is already there."""
    row = await connection.fetchrow(
        f"INSERT INTO feeds (url) VALUES ($1) ON CONFLICT (url) DO NOTHING RETURNING {FEED}", url
    )
    return StoredFeed(**row) if row else None


async def list_feeds(pool: asyncpg.Pool, *, before: int | None, limit: int) -> list[StoredFeed]:
    """Newest first."""
    rows = await pool.fetch(
        f"SELECT {FEED} FROM feeds WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before,
        limit,
    )
    return [StoredFeed(**row) for row in rows]


async def delete_feed(connection: Connection, feed_id: int) -> list[int] | None:
    """The ids of the entries that went with it; None where there is no such feed."""
    if await connection.fetchrow("SELECT 1 FROM feeds WHERE id = $1 FOR UPDATE", feed_id) is None:
        return None
    rows = await connection.fetch(
        "DELETE FROM feed_entries WHERE feed_id = $1 RETURNING id", feed_id
    )
    await connection.execute("DELETE FROM feeds WHERE id = $1", feed_id)
    return [row["id"] for row in rows]


async def has_feed(pool: asyncpg.Pool, feed_id: int) -> bool:
    return bool(await pool.fetchval("SELECT 1 FROM feeds WHERE id = $1", feed_id))


async def list_entries(
    pool: asyncpg.Pool, feed_id: int, *, before: int | None, limit: int
) -> list[StoredEntry]:
    """Those found last first."""
    rows = await pool.fetch(
        f"SELECT {ENTRY} FROM feed_entries WHERE feed_id = $1"
        " AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        feed_id,
        before,
        limit,
    )
    return [StoredEntry(**row) for row in rows]


async def addresses(pool: asyncpg.Pool, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Ids and addresses of feeds, by id."""
    rows = await pool.fetch(
        "SELECT id, url FROM feeds WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [(row["id"], row["url"]) for row in rows]


async def find_followed(pool: asyncpg.Pool, url: str) -> Followed | None:
    row = await pool.fetchrow("SELECT id, etag, last_modified FROM feeds WHERE url = $1", url)
    return Followed(**row) if row else None


async def save_feed(
    connection: Connection, feed_id: int, answer: Answer, feed: Feed
) -> Changes | None:
    """Store what is new, and remove what is too old; None where the feed was deleted meanwhile."""
    found = await connection.fetchrow(
        "UPDATE feeds SET title = $2, etag = $3, last_modified = $4, checked_at = now(),"
        " error = NULL WHERE id = $1 RETURNING id",
        feed_id,
        feed.title,
        answer.etag,
        answer.last_modified,
    )
    if found is None:
        return None
    # Oldest first, as feeds have the newest on top: the newest gets the highest id.
    entries = feed.entries[::-1]
    rows = await connection.fetch(
        "INSERT INTO feed_entries (feed_id, guid, url, title, summary, published_at)"
        " SELECT $1, * FROM unnest($2::text[], $3::text[], $4::text[], $5::text[],"
        " $6::timestamptz[]) ON CONFLICT (feed_id, guid) DO NOTHING RETURNING id",
        feed_id,
        [entry.guid for entry in entries],
        [entry.url for entry in entries],
        [entry.title for entry in entries],
        [entry.summary for entry in entries],
        [entry.published_at for entry in entries],
    )
    # What the feed still holds stays, or the next check would find it new again.
    removed = await connection.fetch(
        "DELETE FROM feed_entries WHERE feed_id = $1 AND guid <> ALL($2::text[])"
        " AND id <= (SELECT id FROM feed_entries WHERE feed_id = $1"
        " ORDER BY id DESC OFFSET $3 LIMIT 1) RETURNING id",
        feed_id,
        [entry.guid for entry in entries],
        ENTRIES_MAX,
    )
    return Changes([row["id"] for row in rows], [row["id"] for row in removed])


async def save_unchanged(pool: asyncpg.Pool, feed_id: int) -> None:
    await pool.execute("UPDATE feeds SET checked_at = now(), error = NULL WHERE id = $1", feed_id)


async def save_error(pool: asyncpg.Pool, feed_id: int, error: str) -> None:
    await pool.execute(
        "UPDATE feeds SET checked_at = now(), error = $2 WHERE id = $1", feed_id, error
    )


async def find_entries(pool: asyncpg.Pool, ids: Sequence[int]) -> list[StoredEntry]:
    """Those of them that are there."""
    rows = await pool.fetch(f"SELECT {ENTRY} FROM feed_entries WHERE id = ANY($1::bigint[])", ids)
    return [StoredEntry(**row) for row in rows]


async def entry_ids(pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
    """Of entries of all feeds, greater ones, in order."""
    rows = await pool.fetch(
        "SELECT id FROM feed_entries WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [row["id"] for row in rows]
