"""A queue's connections to Postgres: a pool, and single ones to listen and to hold the lease."""

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

# The engine's statements take milliseconds. A server that says nothing for so long has gone away,
# and a job must be with another worker twenty seconds after its own was lost.
STATEMENT_TIMEOUT_SECONDS = 5.0
ACQUIRE_TIMEOUT_SECONDS = 10.0

T = TypeVar("T")


class Database:
    """`name` is the queue's. Nothing is connected before it is needed."""

    def __init__(self, dsn: str, *, name: str, pool_size: int, password: Password | None) -> None:
        self._dsn = dsn
        self._name = name
        self._pool_size = pool_size
        self._password = password
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()

    @property
    def pool(self) -> asyncpg.Pool:
        """A RuntimeError before `open`."""
        if self._pool is None:
            raise RuntimeError("the queue is not connected: await queue.connect() first")
        return self._pool

    async def open(self) -> bool:
        """Make the pool; False where it was there. Its connections open when they are needed."""
        async with self._opening:
            if self._pool is not None:
                return False
            self._pool = await create_pool(
                self._dsn,
                name=f"moorage queue {self._name}",
                max_size=self._pool_size,
                statement_timeout_seconds=STATEMENT_TIMEOUT_SECONDS,
                server_settings=QUEUE_SESSION,
                # no statement here leaves anything behind in its session, and asyncpg's own reset
                # costs a round trip for each
                reset=_leave_as_is,
                password=self._password,
            )
            return True

    async def close(self) -> None:
        """Wait for the connections to be given back, then close them."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None

    def terminate(self) -> None:
        """Close every connection at once, whoever has it."""
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
                # Nothing is asked of it again: a socket may be open and dead, and a writer that was
                # demoted keeps its connections and refuses every write on them.
                pooled.terminate()
                if isinstance(error, asyncpg.ReadOnlySQLTransactionError | TimeoutError):
                    await self.pool.expire_connections()  # the others are most likely like it
                raise
        return found

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction on a connection of the pool; commits at the end of the block."""
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS) as own, own.transaction():
            yield own


async def _leave_as_is(_: asyncpg.Connection) -> None:
    """Instead of asyncpg's own reset."""


def if_any(values: list[T]) -> list[T]:
    """The values for an `unnest` beside others, or no array at all where each is None or 0.

    The missing ones are NULL there, and asyncpg takes about 0.2 µs to look at each it is given.
    """
    return values if any(values) else []


def storable(value: str | None) -> str | None:
    """Postgres text cannot hold NUL or half a surrogate pair, and an error message may."""
    return value and value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
