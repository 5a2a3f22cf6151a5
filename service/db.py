"""Connections to Postgres: bounded in number and in time, and named in pg_stat_activity."""

import random
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg

CONNECT_TIMEOUT_SECONDS = 5.0

Password = Callable[[], str] | Callable[[], Awaitable[str]]
"""Asked for every new connection, so that a password may rotate."""

UNAVAILABLE: tuple[type[BaseException], ...] = (
    OSError,  # refused, reset, unknown host, no socket file
    TimeoutError,
    asyncpg.PostgresConnectionError,  # 08*: lost in the middle
    asyncpg.OperatorInterventionError,  # 57*: shutting down, starting up, cancelled by a timeout
    asyncpg.ReadOnlySQLTransactionError,  # a writer that was demoted
    asyncpg.InvalidAuthorizationSpecificationError,  # 28*: a password that rotated, or a wrong one
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,  # asyncpg's own words for a closed connection or pool,
    asyncpg.InternalClientError,  # and for one that was cut in the middle of a statement
    asyncpg.InsufficientResourcesError,  # 53*: its disk is full, its memory, its connections
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # two transactions collided
)
"""What a call raises while the database cannot serve it: answer 503, or wait and try again."""


BACKOFF_SECONDS = (0.2, 3.0)  # first and longest wait before the next try


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row; jitter keeps all from coming at once."""
    longest = min(BACKOFF_SECONDS[0] * 2 ** min(failures, 20), BACKOFF_SECONDS[1])
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


async def create_pool(
    dsn: str,
    *,
    name: str,
    max_size: int,
    statement_timeout_seconds: float = 60,
    server_settings: dict[str, str] | None = None,
    **options: Any,
) -> asyncpg.Pool:
    """A pool that opens its connections when they are first needed, `max_size` at the most.

    It can therefore be made while the database is away; the calls on it then raise one of
    `UNAVAILABLE`. No statement, lock or open transaction may wait longer than the server's limits
    that are set here.
    """
    return await asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=max_size,
        timeout=CONNECT_TIMEOUT_SECONDS,
        # the client's own limit, for a server that no longer answers at all
        command_timeout=statement_timeout_seconds + 1,
        server_settings={
            "application_name": name,
            "statement_timeout": str(int(statement_timeout_seconds * 1000)),
            "lock_timeout": "10s",
            "idle_in_transaction_session_timeout": "60s",
            **(server_settings or {}),
        },
        **options,
    )
