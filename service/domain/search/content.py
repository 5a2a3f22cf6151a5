"""What can be searched. For more, add its name to `ContentType` and its source to `SOURCES`."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, Protocol

import asyncpg

from service.domain.feeds.store import StoredEntry, entries_after, find_entry
from service.domain.search.index import Document

ContentType = Literal["feed_entry"]


class Source(Protocol):
    """Where the content of one type is read from."""

    async def find(self, pool: asyncpg.Pool, content_id: int) -> Document | None:
        """One document; None where it is no more."""

    async def page(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[Document]:
        """Those with greater ids, by id."""

    async def count(self, pool: asyncpg.Pool) -> int:
        """About how many there are."""


class FeedEntries:
    """The entries of the feeds domain."""

    async def find(self, pool: asyncpg.Pool, content_id: int) -> Document | None:
        entry = await find_entry(pool, content_id)
        return _document(entry) if entry else None

    async def page(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[Document]:
        return [_document(entry) for entry in await entries_after(pool, after=after, limit=limit)]

    async def count(self, pool: asyncpg.Pool) -> int:
        count: int = await pool.fetchval("SELECT count(*) FROM feed_entries")
        return count


def _document(entry: StoredEntry) -> Document:
    return Document(
        content_type="feed_entry",
        content_id=entry.id,
        title=entry.title,
        body=entry.summary,
        url=entry.url,
    )


SOURCES: Mapping[ContentType, Source] = MappingProxyType({"feed_entry": FeedEntries()})
