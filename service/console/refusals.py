"""The pages that say why a request is refused."""

from typing import Any

from litestar import Request, Response
from litestar.exceptions import HTTPException

from service.console.door import NotSignedInError, ask_to_sign_in
from service.console.rendering import html, render
from service.problem import PHRASES, InvalidFieldError
from service.queue.errors import (
    BulkNotFoundError,
    BulkStateError,
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    QueueError,
    QueueNotFoundError,
    ScheduleNotFoundError,
    UnknownTaskError,
    WorkerNotFoundError,
    WorkerStateError,
)

STATUSES: dict[type[QueueError], int] = {
    BulkNotFoundError: 404, JobNotFoundError: 404, QueueNotFoundError: 404,
    ScheduleNotFoundError: 404, UnknownTaskError: 404, WorkerNotFoundError: 404,
    BulkStateError: 409, JobStateError: 409, WorkerStateError: 409,
    InvalidPayloadError: 422, InvalidOptionError: 422,
}  # fmt: skip


def refuse(
    request: Request[Any, Any, Any], error: HTTPException | InvalidFieldError
) -> Response[str]:
    """A page that says what was wrong with the request."""
    if isinstance(error, InvalidFieldError):
        status, why = 422, str(error)
    else:
        status, why = error.status_code, error.detail
    title = PHRASES.get(status, "Error")
    page = render("refused.html", visitor=request.user, here="", title=title, why=f"{why}.")
    return html(page, status)


def explain(request: Request[Any, Any, Any], error: QueueError) -> Response[str]:
    """A page that says why the queue refuses it."""
    found = (status for kind, status in STATUSES.items() if isinstance(error, kind))
    return refuse(request, HTTPException(str(error), status_code=next(found, 422)))


REFUSALS: Any = {
    NotSignedInError: ask_to_sign_in, HTTPException: refuse, InvalidFieldError: refuse,
    QueueError: explain,
}  # fmt: skip
"""For the `exception_handlers` of a router of pages."""
