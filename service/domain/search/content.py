"""What can be searched. For more, add its name to `ContentType` and its source to `SOURCES`."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Literal, Protocol

import asyncpg

from service.domain.feeds.store import StoredEntry, entry_ids, find_entries
from service.domain.search.index import Document, Index

ContentType = Literal["feed_entry"]


class Source(Protocol):
    """Where the content of one type is read from."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> list[Document]:
        """Those of them that are there."""

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        """Greater ids, in order."""

    async def count(self, pool: asyncpg.Pool) -> int:
        """About how many there are."""


class FeedEntries:
    """The entries of the feeds domain."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> list[Document]:
        return [_document(entry) for entry in await find_entries(pool, ids)]

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        return await entry_ids(pool, after=after, limit=limit)

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


async def bring_up_to_date(
    index: Index, pool: asyncpg.Pool, content_type: ContentType, ids: Sequence[int]
) -> int:
    """Put in what these are now, and take out those that are no more; how many are in.

    What changes meanwhile is looked at again: another job may have written that already, and this
    one have put the older state over it.
    """
    source = SOURCES[content_type]
    found = await source.find(pool, ids)
    while True:
        await index.put(found)
        for gone in set(ids) - {each.content_id for each in found}:
            await index.delete(content_type, gone)
        written, found = found, await source.find(pool, ids)
        if set(found) == set(written):
            return len(found)
