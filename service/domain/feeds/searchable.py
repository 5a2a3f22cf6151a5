"""The entries of feeds, as a source for the search domain."""

from collections.abc import Sequence

import asyncpg

from service.domain.feeds.store import StoredEntry, entry_ids, find_entries


class Entries:
    """The entries of all feeds."""

    async def find(self, pool: asyncpg.Pool, ids: Sequence[int]) -> list[StoredEntry]:
        """The entries with these ids that exist."""
        return await find_entries(pool, ids)

    async def ids(self, pool: asyncpg.Pool, *, after: int, limit: int) -> list[int]:
        """The next ids greater than `after`, in order."""
        return await entry_ids(pool, after=after, limit=limit)

    async def count(self, pool: asyncpg.Pool) -> int:
        """The number of entries."""
        count: int = await pool.fetchval("SELECT count(*) FROM feed_entries")
        return count
