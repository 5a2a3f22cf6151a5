"""A queue's connections to Postgres: a pool, one to listen, and one to renew the lease."""

import asyncio
import contextlib
from collections import deque
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
KEPT_SECONDS = 0.5  # that an idle connection stays out of the pool

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
        # Taken out of the pool and idle, each since an event-loop time, the latest last: taking one
        # out and putting it back costs twice as much as the statement does.
        self._kept: deque[tuple[PoolConnectionProxy, float]] = deque()
        self._returning: asyncio.Task[None] | None = None
        self._is_closing = False

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
            self._is_closing = True
            await self._return_kept(0)
            await self._pool.close()
            self._pool, self._is_closing = None, False

    def terminate(self) -> None:
        """Close every connection at once, those in use too."""
        if self._pool is not None:
            self._pool.terminate()
            self._pool = None
        self._kept.clear()

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
        pool = self.pool  # `terminate` may forget it meanwhile
        pooled = await self._take()
        try:
            found = await pooled.fetch(statement, *arguments)
        except UNAVAILABLE as error:
            # The connection is not used again: its socket may be dead, and a demoted writer
            # keeps its connections and refuses every write on them.
            pooled.terminate()
            await pool.release(pooled)
            if self._pool is pool and isinstance(
                error, asyncpg.ReadOnlySQLTransactionError | TimeoutError
            ):
                await self.expire()  # the others are most likely dead too
            raise
        except BaseException:
            await pool.release(pooled)
            raise
        # one is for whoever asks the pool itself
        if self._pool is not pool or self._is_closing or len(self._kept) >= self._pool_size - 1:
            await pool.release(pooled)
        else:
            self._keep(pooled)
        return found

    async def expire(self) -> None:
        """Use no connection again that is open now; those in use go on until they are returned."""
        await self.pool.expire_connections()
        await self._return_kept(0)

    async def _take(self) -> PoolConnectionProxy:
        while self._kept:
            pooled, _ = self._kept.pop()
            if not pooled.is_closed():
                return pooled
            await self.pool.release(pooled)
        taken: PoolConnectionProxy = await self.pool.acquire(timeout=ACQUIRE_TIMEOUT_SECONDS)
        return taken

    def _keep(self, pooled: PoolConnectionProxy) -> None:
        """Keep a connection for the next statement, if that comes soon."""
        self._kept.append((pooled, asyncio.get_running_loop().time()))
        if self._returning is None or self._returning.done():
            self._returning = asyncio.create_task(self._return_idle(), name="return connections")

    async def _return_idle(self) -> None:
        while self._kept:
            await asyncio.sleep(KEPT_SECONDS)
            await self._return_kept(KEPT_SECONDS)

    async def _return_kept(self, seconds: float) -> None:
        """Return to the pool what no statement has used for so long."""
        before = asyncio.get_running_loop().time() - seconds
        while self._kept and self._kept[0][1] <= before:
            pooled, _ = self._kept.popleft()
            await self.pool.release(pooled)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[PoolConnectionProxy]:
        """A transaction on a connection of the pool; commits at the end of the block."""
        pool = self.pool
        own = await self._take()
        try:
            async with own.transaction():
                yield own
        finally:
            await pool.release(own)


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
