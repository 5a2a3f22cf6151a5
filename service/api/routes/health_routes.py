"""Health: is this process live, and is it ready?"""

import asyncio

import asyncpg
import msgspec
import structlog
from litestar import Response, get
from litestar.di import NamedDependency
from litestar.openapi.datastructures import ResponseSpec

from service.api.door.http_errors import RETRY_AFTER_SECONDS
from service.contract import LIVE_PATH, READY_PATH
from service.db import UNAVAILABLE, NotReadyError
from service.migration_files import read_migrations
from service.queue.interface import JobQueue
from service.queue.tables.table_queue import TableQueue

MIGRATIONS = {f"{each.owner}/{each.version:04}" for each in read_migrations()}
READY_SECONDS = 2.0  # shorter than the balancer's timeout, so that it gets our answer

_FOREIGN = "the table moorage_migrations is another program's"
REASONS: dict[type[Exception], str] = {
    asyncpg.UndefinedTableError: "the migrations have not run",
    asyncpg.UndefinedColumnError: _FOREIGN,
    asyncpg.UndefinedFunctionError: _FOREIGN,  # a column of another type
}

log = structlog.stdlib.get_logger("api")


class Live(msgspec.Struct, frozen=True):
    """The process answers."""

    status: str = "live"


class Ready(msgspec.Struct, frozen=True):
    """The parts that the process needs, each "ready" or why not."""

    status: str
    parts: dict[str, str]


@get(
    LIVE_PATH,
    tags=["Health"],
    summary="Is the process up?",
    operation_id="Live",
    sync_to_thread=False,
)
def live() -> Live:
    """Checks nothing else: a database that is away is no reason to restart this process."""
    return Live()


@get(
    READY_PATH,
    tags=["Health"],
    summary="Can it do its work?",
    operation_id="Ready",
    responses={
        503: ResponseSpec(Ready, generate_examples=False, description="Something it needs is away")
    },
)
async def ready(
    pool: NamedDependency[asyncpg.Pool], queue: NamedDependency[JobQueue]
) -> Response[Ready]:
    """Checks the application's database and the queue, each within two seconds."""
    database, queued = await asyncio.gather(_reason(pool), _queue_reason(queue))
    parts = {"database": database or "ready", "queue": queued or "ready"}
    if not (database or queued):
        return Response(Ready("ready", parts))
    log.warning("not ready", **parts)
    return Response(
        Ready("not ready", parts),
        status_code=503,
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


async def _queue_reason(queue: JobQueue) -> str | None:
    if isinstance(queue, TableQueue) and (reason := await _reason(queue.pool)):
        return reason
    try:
        async with asyncio.timeout(READY_SECONDS):
            await queue.ping()
    except TimeoutError:
        return f"no answer within {READY_SECONDS:g} s"
    except NotReadyError as error:
        return str(error)
    except UNAVAILABLE as error:
        return f"no connection ({type(error).__name__})"
    return None


async def _reason(pool: asyncpg.Pool) -> str | None:
    """Why the database behind `pool` is not ready, without host and user; or None."""
    try:
        async with asyncio.timeout(READY_SECONDS):
            row = await pool.fetchrow(
                "SELECT current_setting('transaction_read_only')::bool AS read_only, ARRAY("
                " SELECT owner || '/' || to_char(version, 'FM0000') FROM moorage_migrations"
                ") AS applied"
            )
    except TimeoutError:
        return f"no answer within {READY_SECONDS:g} s"
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        for kind, reason in REASONS.items():
            if isinstance(error, kind):
                return reason
        return f"no connection ({type(error).__name__})"
    assert row is not None
    if row["read_only"]:
        return "read-only"
    if missing := MIGRATIONS.difference(row["applied"]):
        return f"migrations have not run: {', '.join(sorted(missing))}"
    return None
