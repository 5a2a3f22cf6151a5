"""One queue: its figures, who serves it, and since when and by whom it is paused."""

from datetime import datetime
from typing import Any
from urllib.parse import unquote

import asyncpg
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.console import audit
from service.console.door import signed_in
from service.console.refusals import REFUSALS
from service.console.rendering import html, render
from service.contract import CONSOLE_PATH, pool_process
from service.queue.interface import JobQueue

Asked = Request[Any, Any, Any]


@get("/queues/{name:str}", include_in_schema=False)
async def show_queue(
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """A queue and what belongs to it."""
    found = queue.named(unquote(name))
    stats = await found.stats()
    pools = {
        pool_process(each): served.names
        for each, served in (found.pools or {}).items()
        if found.name in served.names
    }
    workers = [each for each in await queue.list_workers() if found.name in each.queues]
    pools = pools or {pool_process(each.pool): each.queues for each in workers}
    page = render(
        "queue.html", visitor=request.user, here="overview", name=found.name, stats=stats,
        pools=pools, workers=workers,
        tasks=[each for each, of in sorted(queue.registry.tasks.items()) if of.queue == found.name],
        who=await _who_paused(pool, found.name, stats.paused_at),
    )  # fmt: skip
    return html(page)


async def _who_paused(pool: asyncpg.Pool, name: str, at: datetime | None) -> str | None:
    """Who has paused the queue here; None where it was done elsewhere, or when is not known."""
    return None if at is None else await audit.who_did(pool, "pause queue", name, at)


router = Router(
    CONSOLE_PATH,
    route_handlers=[show_queue],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
