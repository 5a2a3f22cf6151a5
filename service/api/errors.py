"""From what went wrong to the answer: nothing internal in it, and no 500 for a client's mistake."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import asyncpg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from service.api.problem import FieldProblem, InvalidFieldError, Problem, field_problem, problem
from service.db import UNAVAILABLE
from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    UnknownTaskError,
)

RETRY_AFTER_SECONDS = 5

log = structlog.stdlib.get_logger("api")


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
    if isinstance(error, ValidationException) and errors:
        detail = f"{errors[0].field}: {errors[0].message}"
        return _answer(request, 422, detail, errors=errors)
    return _answer(request, error.status_code, error.detail, errors=errors, headers=error.headers)


def _invalid_field(request: Request[Any, Any, Any], error: InvalidFieldError) -> Response[Problem]:
    return _answer(request, 422, str(error), errors=[FieldProblem(error.field, error.message)])


def _invalid_payload(
    request: Request[Any, Any, Any], error: InvalidPayloadError
) -> Response[Problem]:
    found = field_problem(error.reason, error.field)
    status = 413 if isinstance(error, PayloadTooLargeError) else 422
    return _answer(request, status, f"{found.field}: {found.message}", errors=[found])


def _invalid_option(
    request: Request[Any, Any, Any], error: InvalidOptionError
) -> Response[Problem]:
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


EXCEPTION_HANDLERS: dict[int | type[Exception], Callable[..., Response[Problem]]] = {
    HTTPException: _http,
    InvalidFieldError: _invalid_field,
    InvalidPayloadError: _invalid_payload,
    InvalidOptionError: _invalid_option,
    UnknownTaskError: _unknown_task,
    JobNotFoundError: _job_not_found,
    JobStateError: _job_state,
    **dict.fromkeys(UNAVAILABLE, _unavailable),  # type: ignore[arg-type]
    asyncpg.UndefinedTableError: _not_migrated,
    Exception: _unexpected,
}
"""For `Litestar(exception_handlers=…)`; the closest base class of an error decides."""
