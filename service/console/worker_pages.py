"""The live workers: what each runs, and drain one."""

from typing import Any
from urllib.parse import unquote

import asyncpg
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.console import audit
from service.console.door import may_act, signed_in
from service.console.refusals import REFUSALS
from service.console.rendering import html, render
from service.contract import CONSOLE_PATH, pool_process
from service.queue.interface import JobQueue

Asked = Request[Any, Any, Any]


@get("/workers", include_in_schema=False)
async def show_workers(request: Asked, queue: NamedDependency[JobQueue]) -> Response[str]:
    """Every live worker, and the jobs that it runs."""
    page = render(
        "workers.html", visitor=request.user, here="workers", process=pool_process,
        workers=await queue.list_workers(), running=await queue.running(),
    )  # fmt: skip
    return html(page)


@post("/workers/{name:str}/drain", status_code=303)
async def drain_worker(
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Let it start no further job, finish what it runs, and end."""
    name = unquote(name)
    await queue.drain_worker(name)
    await audit.note(pool, request.user.who, "drain worker", name)
    return html("", 303, Location=f"{CONSOLE_PATH}/workers")


router = Router(
    CONSOLE_PATH, route_handlers=[show_workers], guards=[signed_in],
    exception_handlers=REFUSALS, include_in_schema=False,
)  # fmt: skip
actions = Router(
    CONSOLE_PATH, route_handlers=[drain_worker], guards=[signed_in, may_act],
    exception_handlers=REFUSALS, include_in_schema=False,
)  # fmt: skip
