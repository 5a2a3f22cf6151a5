"""What the database did meanwhile, from its own statistics."""

import asyncio
from dataclasses import dataclass

import asyncpg

SETTLE_SECONDS = 0.5  # a backend reports when it ends, a moment after its client


@dataclass(frozen=True)
class Counts:
    """Counted since the database was made."""

    commits: int
    wal_bytes: int
    dead_tuples: int  # rows updated or deleted: each leaves a dead version, vacuumed since or not

    def __sub__(self, earlier: "Counts") -> "Counts":
        return Counts(
            self.commits - earlier.commits,
            self.wal_bytes - earlier.wal_bytes,
            self.dead_tuples - earlier.dead_tuples,
        )


async def read_counts(dsn: str) -> Counts:
    """As they stand once every client has gone."""
    await asyncio.sleep(SETTLE_SECONDS)
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),"
            " pg_current_wal_insert_lsn() - '0/0'::pg_lsn,"
            " (SELECT sum(n_tup_upd + n_tup_del) FROM pg_stat_user_tables)"
        )
        assert row is not None
        return Counts(int(row[0]), int(row[1]), int(row[2] or 0))
    finally:
        await connection.close()


async def round_trip_seconds(port: int) -> float:
    """The median of a statement that does nothing, through `port`."""
    connection = await asyncpg.connect(f"postgresql://postgres@127.0.0.1:{port}/postgres")
    loop, took = asyncio.get_running_loop(), []
    try:
        for _ in range(100):
            started = loop.time()
            await connection.fetchval("SELECT 1")
            took.append(loop.time() - started)
    finally:
        await connection.close()
    return sorted(took)[len(took) // 2]
