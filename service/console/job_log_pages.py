"""The log lines of a job: a part of its page that is loaded by itself, or a page of its own."""

from typing import Any
from urllib.parse import unquote

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.console import job_logs
from service.console.door import signed_in
from service.console.refusals import REFUSALS
from service.console.rendering import html, render
from service.contract import CONSOLE_PATH
from service.queue.errors import JobNotFoundError
from service.queue.interface import JobQueue
from service.settings import Settings

Asked = Request[Any, Any, Any]


@get("/jobs/{key:str}/logs", include_in_schema=False)
async def show_lines(
    key: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    settings: NamedDependency[Settings],
) -> Response[str]:
    """The lines, and the command that shows them all. With `?part=1` without what is around."""
    job = await queue.find_record(unquote(key))
    if job is None:
        raise JobNotFoundError(unquote(key))
    lines = await job_logs.read(settings, job, await queue.attempts(job))
    is_part = "part" in request.query_params
    values = {"job": job, "lines": lines, "command": job_logs.command(settings, job)}
    template = "job_log_lines.html" if is_part else "job_logs.html"
    return html(render(template, visitor=request.user, here="jobs", **values))


router = Router(
    CONSOLE_PATH,
    route_handlers=[show_lines],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
