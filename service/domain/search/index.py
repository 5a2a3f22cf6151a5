"""The search index: its interface, and the implementation with Postgres's full-text search.

For another engine, write another class with these methods and return it from `open_index`.
"""

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

import asyncpg

# ts_headline marks words with these; they become tags after the text around them is escaped.
START, STOP = "\x02", "\x03"
MARKS = f"StartSel={START}, StopSel={STOP}"
NOTS = re.compile(r'(?:-[^\w"-]*){16,}')
BODY_MAX_CHARACTERS = 200_000  # Postgres's limit for a tsvector is a megabyte


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document to index; title and body are plain text."""

    content_type: str
    content_id: int
    title: str
    body: str
    url: str | None


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A document that was found.

    `title_html` and `excerpt_html` are safe HTML: escaped text with the found words in `<mark>`.
    """

    content_type: str
    content_id: int
    url: str | None
    rank: float
    title_html: str
    excerpt_html: str


class Index(Protocol):
    """Documents by type and id; each method may be repeated without harm."""

    async def put(self, documents: Sequence[Document]) -> None:
        """Add documents or replace them."""

    async def delete(self, content_type: str, content_id: int) -> None:
        """Remove one; a missing one is no error."""

    async def now(self) -> datetime:
        """The time by the index's clock, for `delete_older`."""

    async def delete_older(self, content_type: str, before: datetime) -> int:
        """Remove the documents of a type that were put before that time. Returns how many."""

    async def search(self, words: str, *, offset: int, limit: int) -> list[Hit]:
        """The hits, the best first. `words` may hold "a phrase", or, and -without."""


class PostgresIndex:
    """Postgres's full-text search in English: forms of a word match, stop words do not count."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, documents: Sequence[Document]) -> None:
        rows = [
            (
                each.content_type,
                each.content_id,
                _storable(each.title),
                _storable(each.body[:BODY_MAX_CHARACTERS]),
                each.url,
            )
            for each in documents
        ]
        await self._pool.executemany(
            "INSERT INTO search_documents (content_type, content_id, title, body, url, indexed_at)"
            " VALUES ($1, $2, $3, $4, $5, clock_timestamp())"
            " ON CONFLICT (content_type, content_id) DO UPDATE SET title = excluded.title,"
            " body = excluded.body, url = excluded.url, indexed_at = excluded.indexed_at",
            rows,
        )

    async def delete(self, content_type: str, content_id: int) -> None:
        await self._pool.execute(
            "DELETE FROM search_documents WHERE content_type = $1 AND content_id = $2",
            content_type,
            content_id,
        )

    async def now(self) -> datetime:
        now: datetime = await self._pool.fetchval("SELECT clock_timestamp()")
        return now

    async def delete_older(self, content_type: str, before: datetime) -> int:
        done = await self._pool.execute(
            "DELETE FROM search_documents WHERE content_type = $1 AND indexed_at < $2",
            content_type,
            before,
        )
        return int(done.rpartition(" ")[2])

    async def search(self, words: str, *, offset: int, limit: int) -> list[Hit]:
        # Excerpts are only made for one page, because they take far longer than the search.
        rows = await self._pool.fetch(
            "WITH page AS ("
            " SELECT content_type, content_id, title, body, url, query,"
            " ts_rank_cd(words, query, 1) AS rank"
            " FROM search_documents, websearch_to_tsquery('english', $1) AS query"
            " WHERE words @@ query"
            " ORDER BY rank DESC, content_type, content_id DESC OFFSET $2 LIMIT $3)"
            " SELECT content_type, content_id, url, rank,"
            " ts_headline('english', title, query, 'HighlightAll=true, ' || $4) AS title,"
            " ts_headline('english', body, query, 'MaxFragments=2, ' || $4) AS excerpt"
            " FROM page ORDER BY rank DESC, content_type, content_id DESC",
            _plain(words),
            offset,
            limit,
            MARKS,
        )
        return [
            Hit(
                content_type=row["content_type"],
                content_id=row["content_id"],
                url=row["url"],
                rank=row["rank"],
                title_html=_marked(row["title"]),
                excerpt_html=_marked(row["excerpt"]),
            )
            for row in rows
        ]


def open_index(pool: asyncpg.Pool) -> Index:
    """The index of this application."""
    return PostgresIndex(pool)


def _plain(words: str) -> str:
    """The words with a long run of `-` as one: Postgres allows 32 "not" before a word."""
    return NOTS.sub("-", words)


def _storable(text: str) -> str:
    return text.translate({0: None, ord(START): None, ord(STOP): None})


def _marked(text: str) -> str:
    return html.escape(text).replace(START, "<mark>").replace(STOP, "</mark>")
