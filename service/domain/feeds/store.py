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
# Kept entries of one feed, beside those that it still holds. Without a limit, a feed that gives its
# entries new guids at each check would fill the table.
ENTRIES_MAX = 10_000


@dataclass(frozen=True, kw_only=True)
class StoredFeed:
    """A feed that is followed; `error` says why its last check failed."""

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
    """What is needed to fetch a feed again."""

    id: int
    etag: str | None
    last_modified: str | None


@dataclass(frozen=True)
class Changes:
    """Ids of entries that a check has stored, and of old ones that it has removed."""

    new: list[int]
    removed: list[int]


@asynccontextmanager
async def transaction_with_jobs(
    pool: asyncpg.Pool, queue: JobQueue, settings: Settings
) -> AsyncIterator[tuple[Connection, list[Job]]]:
    """A transaction, and a list for jobs that are enqueued if and only if it commits.

    With QUEUE_DSN the jobs are enqueued right after the commit, and a crash in between loses them.
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
    """A job that checks the feed; at most one waits or runs."""
    options = JobOptions(key=f"refresh-feed-{feed_id}")
    return build_job(queue.registry, "refresh_single_feed", {"feed_url": url}, options)


def index_jobs(queue: JobQueue, entry_ids: Sequence[int]) -> list[Job]:
    """Jobs that bring these entries in the search index up to date, or remove them from it.

    None where no domain has that task.
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
    """Add a feed. Returns it, or None where its address is followed already."""
    row = await connection.fetchrow(
        f"INSERT INTO feeds (url) VALUES ($1) ON CONFLICT (url) DO NOTHING RETURNING {FEED}", url
    )
    return StoredFeed(**row) if row else None


async def list_feeds(pool: asyncpg.Pool, *, before: int | None, limit: int) -> list[StoredFeed]:
    """The feeds, newest first."""
    rows = await pool.fetch(
        f"SELECT {FEED} FROM feeds WHERE $1::bigint IS NULL OR id < $1 ORDER BY id DESC LIMIT $2",
        before,
        limit,
    )
    return [StoredFeed(**row) for row in rows]


async def delete_feed(connection: Connection, feed_id: int) -> list[int] | None:
    """Delete a feed. Returns the ids of its deleted entries; None where there is no such feed."""
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
    """The entries of a feed, the last found first."""
    rows = await pool.fetch(
        f"SELECT {ENTRY} FROM feed_entries WHERE feed_id = $1"
        " AND ($2::bigint IS NULL OR id < $2) ORDER BY id DESC LIMIT $3",
        feed_id,
        before,
        limit,
    )
    return [StoredEntry(**row) for row in rows]


async def addresses(pool: asyncpg.Pool, *, after: int, limit: int) -> list[tuple[int, str]]:
    """Ids and addresses of feeds, in the order of their ids."""
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
    """Store new entries and remove old ones; None where the feed was deleted meanwhile."""
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
    # Feeds have the newest on top: reversed, so that the newest gets the highest id.
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
    # Entries that the feed still holds stay, else the next check would store them as new ones.
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
    """The entries with these ids that exist."""
    rows = await pool.fetch(f"SELECT {ENTRY} FROM feed_entries WHERE id = ANY($1::bigint[])", ids)
    return [StoredEntry(**row) for row in rows]


async def entry_ids(pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
    """The next ids greater than `after` of the entries of all feeds, in order."""
    rows = await pool.fetch(
        "SELECT id FROM feed_entries WHERE id > $1 ORDER BY id LIMIT $2", after, limit
    )
    return [row["id"] for row in rows]
