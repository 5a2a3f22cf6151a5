"""The entries of feeds as a search domain reads them."""

from collections.abc import Sequence

import asyncpg

from service.domain.feeds.store import StoredEntry, entry_ids, find_entries


class Entries:
    """Those of all feeds."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> list[StoredEntry]:
        """Those of them that are there."""
        return await find_entries(pool, ids)

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        """Greater ids, in order."""
        return await entry_ids(pool, after=after, limit=limit)

    async def count(self, pool: asyncpg.Pool) -> int:
        """How many there are."""
        count: int = await pool.fetchval("SELECT count(*) FROM feed_entries")
        return count
