"""A queue's connections to Postgres: a pool, one to listen, and one to renew the lease."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from service.db import (
    CONNECT_TIMEOUT_SECONDS,
    QUEUE_SESSION,
    UNAVAILABLE,
    Connection,
    Password,
    connect,
    create_pool,
)

# The engine's statements take milliseconds, so a server that has not answered for so long is away.
# Jobs of a dead worker must be queued again within twenty seconds.
STATEMENT_TIMEOUT_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 10.0

T = TypeVar("T")


class Database:
    """The connections of the queue `name`. Each opens when it is first needed."""

    def __init__(self, dsn: str, *, name: str, pool_size: int, password: Password | None) -> None:
        self._dsn = dsn
        self._name = name
        self._pool_size = pool_size
        self._password = password
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @property
    def pool(self) -> asyncpg.Pool:
        """The pool. Raises `RuntimeError` before `open`."""
        if self._pool is None:
            raise RuntimeError("the queue is not connected: await queue.connect() first")
        return self._pool

    async def open(self) -> bool:
        """Make the pool, without a connection yet. False where it exists already."""
        async with self._opening:
            if self._pool is not None:
                return False
            self._pool = await create_pool(
                self._dsn,
                name=f"moorage queue {self._name}",
                max_size=self._pool_size,
                statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
                server_settings=QUEUE_SESSION,
                # our statements change nothing in the session, and asyncpg's own reset costs a
                # round trip for each
                reset=_no_reset,
                password=self._password,
            )
            return True

    async def close(self) -> None:
        """Wait until all connections are back in the pool, then close them."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def terminate(self) -> None:
        """Close every connection at once, those in use too."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None

    async def own_connection(self, purpose: str) -> asyncpg.Connection:
        """A connection outside the pool, for one purpose: "listen" or "lease"."""
        return await connect(
            self._dsn,
            timeout=CONNECT_TIMEOUT_SECONDS,
            command_timeout=CONNECT_TIMEOUT_SECONDS,
            server_settings={
                "application_name": f"moorage {purpose} {self._name}",
                "statement_timeout": f"{STATEMENT_TIMEOUT_SECONDS:.0f}s",
                **QUEUE_SESSION,
            },
            password=self._password,
        )

    async def fetch(
        self, statement: str, *arguments: Any, connection: Connection | None = None
    ) -> list[asyncpg.Record]:
        """Run one statement, on a connection of the pool unless one is given; its rows."""
        found: list[asyncpg.Record]
        if connection is not None:
            found = await connection.fetch(statement, *arguments)
            return found
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as pooled:
            try:
                found = await pooled.fetch(statement, *arguments)
            except UNAVAILABLE as error:
                # The connection is not used again: its socket may be dead, and a demoted writer
                # keeps its connections and refuses every write on them.
                pooled.terminate()
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError | TimeoutError):
                    await self.pool.expire_connections()  # the others are most likely dead too
                raise
        return found

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction on a connection of the pool; commits at the end of the block."""
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as own, own.transaction():
            yield own


async def _no_reset(_: asyncpg.Connection) -> None:
    """Replaces asyncpg's own reset."""


def if_any(values: list[T]) -> list[T]:
    """The values, or an empty list where each is None or 0.

    `unnest` fills a shorter array with NULL, and asyncpg takes about 0.2 µs to encode each value.
    """
    return values if any(values) else []


def storable(value: str | None) -> str | None:
    """The text without NUL and half surrogate pairs, which Postgres cannot store."""
    return value and value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
