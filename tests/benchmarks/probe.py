"""What the database did meanwhile, from its own statistics."""

import asyncio
from dataclasses import astuple, dataclass

import asyncpg

SETTLE_SECONDS = 0.5  # a backend reports when it ends, a moment after its client


@dataclass(frozen=True)
class Counts:
    """Counted since the database was made."""

    commits: int
    wal_bytes: int
    dead_tuples: int  # rows updated or deleted: each leaves a dead version, vacuumed since or not
    updates: int
    hot_updates: int  # that wrote to no index
    index_entries: int  # of what was inserted or updated; partial indexes count as whole ones

    def __sub__(self, earlier: "Counts") -> "Counts":
        return Counts(
            *(now - before for now, before in zip(astuple(self), astuple(earlier), strict=True))
        )


async def read_counts(dsn: str) -> Counts:
    """As they stand once every client has gone."""
    await asyncio.sleep(SETTLE_SECONDS)
    connection = await asyncpg.connect(dsn)
    try:
        row = await connection.fetchrow(
            "SELECT (SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()),"
            " pg_current_wal_insert_lsn() - '0/0'::pg_lsn,"
            " sum(n_tup_upd + n_tup_del), sum(n_tup_upd), sum(n_tup_hot_upd),"
            " sum((n_tup_ins + n_tup_upd - n_tup_hot_upd)"
            "     * (SELECT count(*) FROM pg_index WHERE indrelid = relid))"
            " FROM pg_stat_user_tables"
        )
        assert row is not None
        return Counts(*(int(each or 0) for each in row))
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
