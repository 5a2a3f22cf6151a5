"""Connections to Postgres, with limits of number and time, and a name in pg_stat_activity."""

import asyncio
import contextlib
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from typing import Any, Protocol, runtime_checkable

import asyncpg
from asyncpg.pool import PoolConnectionProxy

Connection = asyncpg.Connection | PoolConnectionProxy

CONNECT_TIMEOUT_SECONDS = 5.0

Password = Callable[[], str] | Callable[[], Awaitable[str]]
"""Called for every new connection, so that a password may rotate."""


@runtime_checkable
class VersionedPassword(Protocol):
    """A password with other versions, the previous and the next one."""

    async def __call__(self) -> str: ...

    def others(self, refused: str) -> AsyncIterator[str]:
        """The versions to try after `refused`, the likeliest first."""

    def accept(self, password: str) -> None:
        """Record that Postgres accepts this one."""


UNAVAILABLE: tuple[type[BaseException], ...] = (
    OSError,  # refused, reset, unknown host, no socket file
    TimeoutError,
    asyncpg.PostgresConnectionError,  # 08*: lost in the middle
    asyncpg.OperatorInterventionError,  # 57*: shutting down, starting up, cancelled by a timeout
    asyncpg.ReadOnlySQLTransactionError,  # a writer that was demoted
    asyncpg.InvalidAuthorizationSpecificationError,  # 28*: a password that rotated, or a wrong one
    asyncpg.InvalidCatalogNameError,
    asyncpg.InterfaceError,  # a closed connection or pool
    asyncpg.InternalClientError,  # a connection that was cut in the middle of a statement
    asyncpg.InsufficientResourcesError,  # 53*: no disk, memory or connection left
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,  # two transactions collided
)
"""What a call raises while the database cannot serve it: answer 503, or wait and try again."""


# Every statement of the queue finds its rows by an index, in the order of that index. The planner
# may choose another plan because of its statistics: those of a table that was empty when it was
# analyzed, or held only ended jobs, make it read and sort a whole backlog for ten jobs.
QUEUE_SESSION = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_sort": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "max_parallel_workers_per_gather": "0",
    "jit": "off",
    # planning takes longer than running, so each connection plans a statement once
    "plan_cache_mode": "force_generic_plan",
    # an open transaction of another client on one job must not block the rest of a batch for long
    "lock_timeout": "1s",
}

BACKOFF_SECONDS = (0.2, 3.0)  # first and longest wait before the next try


def backoff(failures: int) -> float:
    """Seconds to wait after so many failures in a row, with jitter."""
    longest = min(BACKOFF_SECONDS[0] * 2 ** min(failures, 20), BACKOFF_SECONDS[1])
    return random.uniform(longest / 2, longest)  # noqa: S311 - jitter, not a secret


async def connect(
    dsn: str, *, password: Password | None = None, **options: Any
) -> asyncpg.Connection:
    """One connection; `options` are those of `asyncpg.connect`.

    A rotation cannot change a password in the secret and in Postgres at the same moment. So after a
    refusal the other versions in the secret are tried before this raises.
    """
    if not isinstance(password, VersionedPassword):
        made: asyncpg.Connection = await asyncpg.connect(dsn, password=password, **options)
        return made
    async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):  # all tries together
        given = await password()
        try:
            made = await asyncpg.connect(dsn, password=given, **options)
        except asyncpg.InvalidPasswordError:
            async for other in password.others(given):
                with contextlib.suppress(asyncpg.InvalidPasswordError):
                    made = await asyncpg.connect(dsn, password=other, **options)
                    password.accept(other)
                    return made
            raise
        return made


async def create_pool(
    dsn: str,
    *,
    name: str,
    max_size: int,
    statement_timeout_seconds: float = 60,
    server_settings: dict[str, str] | None = None,
    password: Password | None = None,
    **options: Any,
) -> asyncpg.Pool:
    """A pool of at most `max_size` connections, which open when they are first needed.

    So it can be made while the database is away; calls on it then raise one of `UNAVAILABLE`. The
    server ends statements, waits for locks and idle transactions after the timeouts set here.
    """
    return await asyncpg.create_pool(
        dsn,
        connect=partial(connect, password=password),
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


class NotReadyError(ConnectionError):
    """The database answers, but this process cannot work with it; the message says why."""


class UnfitDatabaseError(Exception):
    """The server at this address can never be used. The message holds no secret."""


CHECK_SECONDS = 5.0  # the longest that a start waits for a database that does not answer
# Permanent refusals; a wrong password is not among them, because it may be about to rotate.
_REFUSALS = (
    asyncpg.UndefinedObjectError,  # a setting that it does not know
    asyncpg.InvalidParameterValueError,
    asyncpg.CantChangeRuntimeParamError,
    asyncpg.FeatureNotSupportedError,
    asyncpg.exceptions.ClientConfigurationError,
    ssl.SSLCertVerificationError,
)
_POOLED = (
    "a pooler gives each transaction another connection (PgBouncer's pool_mode = transaction, a "
    "proxy's address); leases and LISTEN need their own: give the database's own address, or set "
    "the pooler to sessions"
)


async def check_database(
    dsn: str, password: Password | None, server_settings: dict[str, str]
) -> None:
    """Raises `UnfitDatabaseError`. A database that is away is fine, because it may come back."""
    options: dict[str, Any] = {
        "password": password,
        "timeout": CONNECT_TIMEOUT_SECONDS,
        "server_settings": {"application_name": "moorage check", **server_settings},
    }
    try:
        async with asyncio.timeout(CHECK_SECONDS), contextlib.AsyncExitStack() as stack:
            first = await connect(dsn, **options)
            stack.callback(first.terminate)
            if await first.fetchval("SELECT pg_backend_pid()") == first.get_server_pid():
                return
            second = await connect(dsn, **options)
            stack.callback(second.terminate)
            try:
                is_shared = await _share_sessions(first, second)
            except UNAVAILABLE:  # a pooler of single statements closes it at a transaction
                is_shared = True
            if is_shared:
                raise UnfitDatabaseError(_POOLED)
    except (asyncpg.DuplicatePreparedStatementError, asyncpg.InvalidSQLStatementNameError):
        raise UnfitDatabaseError(_POOLED) from None
    except asyncpg.ProtocolViolationError as error:  # how a pooler refuses
        raise UnfitDatabaseError(
            f"{error}: a pooler stands in front of the database; give the database's own address, "
            "or a pooler for sessions that lets these settings through"
        ) from None
    except _REFUSALS as error:
        raise UnfitDatabaseError(f"the connection is refused: {error}") from None
    except UNAVAILABLE as error:
        if "rejected SSL upgrade" in str(error):
            raise UnfitDatabaseError("the server has no TLS, and sslmode asks for it") from None


async def _share_sessions(first: asyncpg.Connection, second: asyncpg.Connection) -> bool:
    """Do two clients share a server session, or does one client get another session later?"""
    mark = f"{random.getrandbits(64):x}"
    pid = await first.fetchval("SELECT pg_backend_pid()")
    await first.fetchval("SELECT set_config('moorage.session', $1, false)", mark)
    async with second.transaction():  # holds a session, which the first client may then not get
        if await second.fetchval("SELECT current_setting('moorage.session', true)") == mark:
            return True
        own = await first.fetchrow(
            "SELECT pg_backend_pid() AS pid, current_setting('moorage.session', true) AS mark"
        )
    assert own is not None
    return (own["pid"], own["mark"]) != (pid, mark)
