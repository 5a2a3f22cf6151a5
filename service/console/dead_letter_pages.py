"""Dead letters: the jobs that failed or were aborted, by their cause."""

from typing import Any
from urllib.parse import urlencode

from litestar import Request, Response, Router, get
from litestar.di import NamedDependency

from service.console.door import signed_in
from service.console.refusals import REFUSALS
from service.console.rendering import html, render
from service.contract import CONSOLE_PATH
from service.queue.causes import JOBS_MAX, Cause
from service.queue.interface import JobQueue

Asked = Request[Any, Any, Any]


@get("/dead-letters", include_in_schema=False)
async def show_dead_letters(request: Asked, queue: NamedDependency[JobQueue]) -> Response[str]:
    """Why jobs have ended badly, the most frequent cause first."""
    task = request.query_params.get("task", "").strip()
    page = render(
        "dead_letters.html", visitor=request.user, here="dead letters", task=task,
        tasks=sorted(queue.registry.tasks), causes=await queue.causes(task=task or None),
        most=JOBS_MAX, address=_address,
    )  # fmt: skip
    return html(page)


def _address(cause: Cause) -> str:
    """The filter of the jobs page that leaves the jobs of this cause, and some like them."""
    asked = {"status": cause.status, "task": cause.task, "error": cause.text}
    return urlencode({name: value for name, value in asked.items() if value})


router = Router(
    CONSOLE_PATH,
    route_handlers=[show_dead_letters],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
