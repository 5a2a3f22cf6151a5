"""Every error a client sees: RFC 9457 problem+json that names the field and shows no internals."""

import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from typing import Any

import asyncpg
import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException
from litestar.openapi.datastructures import ResponseSpec

from service.contract import UI_PATH
from service.db import UNAVAILABLE
from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    UnknownTaskError,
)

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
# Where two transactions collided or a lock was not to be had, the same request may work a moment
# later, and where the disk is full it may after somebody has helped.
TRY_AGAIN = (
    *UNAVAILABLE,
    asyncpg.LockNotAvailableError,
    asyncpg.TransactionRollbackError,
    asyncpg.InsufficientResourcesError,
)
# msgspec names these fields in its sentence only, not in its path.
FIELD_IN_REASON = re.compile(r"^Object (?:missing required|contains unknown) field `(.+)`$")

log = structlog.stdlib.get_logger("api")


class FieldProblem(msgspec.Struct, frozen=True):
    """One field of the request and what is wrong with it."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """An error as RFC 9457 has it; `errors` names the fields where some are wrong."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
    error: str = ""  # the same as `detail`, for SAQ's pages, which show this member


class InvalidFieldError(Exception):
    """A field of the body or a parameter of the query has a value it cannot have."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def problem(
    path: str,
    status: int,
    detail: str,
    *,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[Problem]:
    """An answer that says what was wrong with a request to `path`."""
    title = HTTPStatus(status).phrase if status in HTTPStatus else "Error"
    return Response(
        Problem(
            type="about:blank",
            title=title,
            status=status,
            detail=detail or title,
            errors=list(errors),
            error=detail or title if path.startswith(f"{UI_PATH}/api/") else "",
        ),
        status_code=status,
        media_type=MEDIA_TYPE,
        headers=dict(headers or {}),
    )


def documented(*statuses: int) -> dict[int, ResponseSpec]:
    """The error answers of a route, for its OpenAPI description."""
    return {
        status: ResponseSpec(
            Problem, description=HTTPStatus(status).phrase, media_type=MEDIA_TYPE  # type: ignore[arg-type]
        )
        for status in statuses
    }


def field_problem(reason: str, path: str, *, within: str = "") -> FieldProblem:
    """From msgspec's sentence and path to the field's own path, inside `within` where given."""
    parts = [within, path.removeprefix("$").removeprefix(".")]
    if found := FIELD_IN_REASON.match(reason):
        parts.append(found[1])
        reason = "is missing" if "missing" in reason else "is not a field of this"
    return FieldProblem(".".join(part for part in parts if part) or "body", reason)


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if isinstance(error, InternalServerException):
        if error.detail == "client disconnected prematurely":
            return _answer(request, 400, "The body did not arrive.")
        return _unexpected(request, error)
    found = error.extra if isinstance(error.extra, list) else []
    errors = [
        FieldProblem(str(each.get("key", "")), str(each.get("message", "")))
        for each in found
        if isinstance(each, dict)
    ]
    status = 422 if isinstance(error, ValidationException) and errors else error.status_code
    detail = "The request has a field it cannot use." if status == 422 and errors else error.detail
    return _answer(request, status, detail, errors=errors, headers=error.headers)


def _invalid_field(request: Request[Any, Any, Any], error: InvalidFieldError) -> Response[Problem]:
    return _answer(request, 422, str(error), errors=[FieldProblem(error.field, error.message)])


def _invalid_payload(
    request: Request[Any, Any, Any], error: InvalidPayloadError
) -> Response[Problem]:
    found = field_problem(error.reason, error.field)
    status = 413 if isinstance(error, PayloadTooLargeError) else 422
    return _answer(request, status, f"{found.field}: {found.message}", errors=[found])


def _invalid_option(request: Request[Any, Any, Any], error: InvalidOptionError) -> Response[Problem]:
    return _answer(request, 422, str(error), errors=[FieldProblem(error.option, error.reason)])


def _unknown_task(request: Request[Any, Any, Any], error: UnknownTaskError) -> Response[Problem]:
    return _answer(
        request, 404, f"{error}.", errors=[FieldProblem("task", "is not the name of a task")]
    )


def _job_not_found(request: Request[Any, Any, Any], error: JobNotFoundError) -> Response[Problem]:
    return _answer(request, 404, f"{error}.")


def _job_state(request: Request[Any, Any, Any], error: JobStateError) -> Response[Problem]:
    return _answer(request, 409, f"{error}.")


def _unavailable(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.warning("database unavailable", error=f"{type(error).__name__}: {error}"[:300])
    return _answer(
        request,
        503,
        "The database does not answer. Try again in a few seconds.",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _not_migrated(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("a table is missing", exc_info=error)
    return _answer(
        request,
        503,
        "A table is missing. Have the migrations run?",
        headers={"Retry-After": str(RETRY_AFTER_SECONDS)},
    )


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
    log.error("unexpected error", exc_info=error)
    return _answer(request, 500, "Something went wrong on our side; the log has it by request id.")


def _answer(
    request: Request[Any, Any, Any],
    status: int,
    detail: str,
    *,
    errors: Iterable[FieldProblem] = (),
    headers: Mapping[str, str] | None = None,
) -> Response[Problem]:
    return problem(request.scope["path"], status, detail, errors=errors, headers=headers)


EXCEPTION_HANDLERS: dict[type[Exception], Callable[..., Response[Problem]]] = {
    HTTPException: _http,
    InvalidFieldError: _invalid_field,
    InvalidPayloadError: _invalid_payload,
    InvalidOptionError: _invalid_option,
    UnknownTaskError: _unknown_task,
    JobNotFoundError: _job_not_found,
    JobStateError: _job_state,
    **dict.fromkeys(TRY_AGAIN, _unavailable),  # type: ignore[arg-type]
    asyncpg.UndefinedTableError: _not_migrated,
    Exception: _unexpected,
}
"""For `Litestar(exception_handlers=…)`; the closest base class of an error decides."""
