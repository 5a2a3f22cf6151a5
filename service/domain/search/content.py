"""The content that can be searched. Other domains offer it when a worker starts.

A domain offers content in a start-up hook of its own and imports nothing from here:

    @on_startup
    async def offer_recipes(ctx: Context) -> None:
        ctx.setdefault("search_sources", {})["recipe"] = Recipes()

Add its type to `ContentType` too, so that a payload with a wrong type is refused at enqueue.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import asyncpg

from service.domain.search.index import Document, Index
from service.queue import Context

ContentType = Literal["feed_entry"]


class Content(Protocol):
    """One piece of content; title and summary are plain text."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def url(self) -> str | None: ...


class Source(Protocol):
    """Reads the content of one type."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> Sequence[Content]:
        """The content with these ids that exists."""

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        """The next ids greater than `after`, in order."""

    async def count(self, pool: asyncpg.Pool) -> int:
        """The number of pieces, roughly."""


def sources(ctx: Context) -> Mapping[ContentType, Source]:
    """The sources that the domains of this worker offer, by type."""
    found: Mapping[ContentType, Source] = ctx.get("search_sources", {})
    return found


async def bring_up_to_date(
    index: Index,
    pool: asyncpg.Pool,
    source: Source,
    content_type: ContentType,
    ids: Sequence[int],
) -> int:
    """Index the content with these ids as it is now, and remove deleted content from the index.

    Returns how many are indexed. Reads the content again afterwards, until it has not changed:
    another job may have indexed a newer state, which this one has overwritten.
    """

    async def read() -> list[Document]:
        return [_document(content_type, each) for each in await source.find(pool, ids)]

    found = await read()
    while True:
        await index.put(found)
        for gone in set(ids) - {each.content_id for each in found}:
            await index.delete(content_type, gone)
        written, found = found, await read()
        if set(found) == set(written):
            return len(found)


def _document(content_type: ContentType, content: Content) -> Document:
    return Document(
        content_type=content_type,
        content_id=content.id,
        title=content.title,
        body=content.summary,
        url=content.url,
    )
