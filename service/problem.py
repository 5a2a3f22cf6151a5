"""Error answers as RFC 9457 problem+json, and the names of wrong fields in them."""

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from litestar import Request, Response
from litestar.openapi.datastructures import ResponseSpec
from litestar.types import HTTPScope, Receive, Send

from service.contract import BODY_MAX_BYTES, JOB_BODY_MAX_BYTES, UI_PATH

MEDIA_TYPE = "application/problem+json"
PHRASES = {status.value: status.phrase for status in HTTPStatus}
DETAILS = {
    404: "There is nothing at this path.",
    405: "The path does not take this method; the header Allow has those it takes.",
    413: f"A body may have {BODY_MAX_BYTES} bytes, that of a job {JOB_BODY_MAX_BYTES}.",
}
# msgspec names these fields only in its sentence, not in its path.
FIELD_IN_REASON = re.compile(r"^Object (?:missing required|contains unknown) field `(.+)`$")


class FieldProblem(msgspec.Struct, frozen=True):
    """One field of the request and what is wrong with it."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An error in the form of RFC 9457; `errors` names the wrong fields, if any."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    error: str = ""  # the same as `detail`, for SAQ's pages, which show this field


class InvalidFieldError(Exception):
    """A field of the body or a query parameter has a wrong value."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def problem(
    path: str,
    status: int,
    detail: str = "",
    *,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[Problem]:
    """The error answer to a request to `path`."""
    title = PHRASES.get(status, "Error")
    if detail in {"", title}:
        detail = DETAILS.get(status, f"{title}.")
    return Response(
        Problem(
            type="about:blank",
            title=title,
            status=status,
            detail=detail,
            errors=list(errors),
            error=detail if path.startswith(f"{UI_PATH}/api/") else "",
        ),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The error answers of a route, for its OpenAPI description."""
    return {
        status: ResponseSpec(
            Problem,
            generate_examples=False,  # they are random, and slow: they import polyfactory
            description=PHRASES[status],
            media_type=MEDIA_TYPE,
        )
        for status in sorted({400, 401, 500, 503, *statuses})
    }


def field_problem(reason: str, path: str, *, within: str = "") -> FieldProblem:
    """The field and message of an error of msgspec, with `within` before the field's path."""
    parts = [within, path.removeprefix("$").removeprefix(".")]
    if found := FIELD_IN_REASON.match(reason):
        parts.append(found[1])
        reason = "is missing" if "missing" in reason else "is not a field of this"
    return FieldProblem(".".join(part for part in parts if part) or "body", reason)


async def send_response(
    response: Response[Any], scope: HTTPScope, receive: Receive, send: Send
) -> None:
    """Send a response from an ASGI layer around Litestar."""
    request: Request[Any, Any, Any] = Request(scope)
    await response.to_asgi_response(app=None, request=request)(scope, receive, send)


Handler = Callable[..., Response[Problem]]
Handlers = dict[int | type[Exception], Handler]


def _freeing(answer: Handler) -> Handler:
    """The same handler, which also clears the variables of the failed calls.

    An error and the frames of its traceback often refer to each other. With them the request's
    body, up to several megabytes, would stay in memory until the garbage collector runs.
    """

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        response = answer(request, error)
        seen: BaseException | None = error
        while seen is not None:
            traceback.clear_frames(seen.__traceback__)
            seen = seen.__cause__ or seen.__context__
        return response

    return handle


def freeing(handlers: Handlers) -> Handlers:
    """The same handlers, each of which also clears the variables of the failed calls."""
    return {kind: _freeing(answer) for kind, answer in handlers.items()}
