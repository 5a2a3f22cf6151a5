"""What can be searched: what other domains offer at the start of a worker.

A domain offers content by a start-up hook of its own and imports nothing from here:

    @on_startup
    async def offer_recipes(ctx: Context) -> None:
        ctx.setdefault("search_sources", {})["recipe"] = Recipes()

Its type stands in `ContentType` too, so that a payload with another is refused when it is enqueued.
"""

from collections.abc import Mapping, Sequence
from typing import Literal, Protocol

import asyncpg

from service.domain.search.index import Document, Index
from service.queue import Context

ContentType = Literal["feed_entry"]


class Content(Protocol):
    """One piece of it; title and summary are plain text."""

    @property
    def id(self) -> int: ...
    @property
    def title(self) -> str: ...
    @property
    def summary(self) -> str: ...
    @property
    def url(self) -> str | None: ...


class Source(Protocol):
    """Where the content of one type is read from."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> Sequence[Content]:
        """Those of them that are there."""

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        """Greater ids, in order."""

    async def count(self, pool: asyncpg.Pool) -> int:
        """About how many there are."""


def sources(ctx: Context) -> Mapping[ContentType, Source]:
    """What the domains of this worker offer, by type."""
    found: Mapping[ContentType, Source] = ctx.get("search_sources", {})
    return found


async def bring_up_to_date(
    index: Index,
    pool: asyncpg.Pool,
    source: Source,
    content_type: ContentType,
    ids: Sequence[int],
) -> int:
    """Put in what these are now, and take out those that are no more; how many are in.

    What changes meanwhile is looked at again: another job may have written that already, and this
    one have put the older state over it.
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
