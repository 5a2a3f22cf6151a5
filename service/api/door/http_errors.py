"""The answers to errors: without internals, and without a 500 for a client's mistake."""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import asyncpg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from service import observers
from service.db import UNAVAILABLE
from service.problem import FieldProblem, InvalidFieldError, Problem, freeing, problem
from service.queue.errors import (
    BulkNotFoundError,
    BulkStateError,
    JobNotFoundError,
    JobStateError,
    QueueError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
)
from service.redact import without_secrets
from service.validation import explain

RETRY_AFTER_SECONDS = 5
# Litestar's sentences for what it has no class or field for.
LEFT = "client disconnected prematurely"
MISSING = re.compile(r"Missing required \w+ parameter '(.+?)' for path ")

log = structlog.stdlib.get_logger("api")


def _http(request: Request[Any, Any, Any], error: HTTPException) -> Response[Problem]:
    if isinstance(error, InternalServerException) and error.detail == LEFT:
        return _answer(request, 400, "The body did not arrive.")
    if error.status_code == 500:
        return _unexpected(request, error)
    errors = _field_problems(request, error)
    if isinstance(error, ValidationException) and errors:
        detail = f"{errors[0].field}: {errors[0].message}"
        return _answer(request, 422, detail, errors=errors)
    return _answer(request, error.status_code, error.detail, errors=errors, headers=error.headers)


def _field_problems(request: Request[Any, Any, Any], error: HTTPException) -> list[FieldProblem]:
    """The wrong parameters. Litestar names a missing one only in its sentence."""
    if isinstance(error, ValidationException) and (missing := MISSING.match(error.detail)):
        return [FieldProblem(missing[1], "is missing")]
    problems = []
    for each in error.extra if isinstance(error.extra, list) else []:
        if isinstance(each, dict):
            field, message = str(each.get("key", "")), str(each.get("message", ""))
            name, _, path = field.partition(".")
            if parameter := request.route_handler.parsed_fn_signature.parameters.get(name):
                message = explain(message, path, parameter.annotation)
                message = without_secrets(message, dict(request.query_params))
            problems.append(FieldProblem(field, message))
    return problems


def _invalid_field(request: Request[Any, Any, Any], error: InvalidFieldError) -> Response[Problem]:
    return _answer(request, 422, str(error), errors=[FieldProblem(error.field, error.message)])


def _not_found(request: Request[Any, Any, Any], error: QueueError) -> Response[Problem]:
    return _answer(request, 404, f"{error}.")


def _conflict(request: Request[Any, Any, Any], error: QueueError) -> Response[Problem]:
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
    if observers.errors is not None:
        route = request.scope.get("path_template")
        observers.errors.request_failed(error, request.scope["method"], route)
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


EXCEPTION_HANDLERS = freeing(
    {
        HTTPException: _http,
        InvalidFieldError: _invalid_field,
        BulkNotFoundError: _not_found,
        BulkStateError: _conflict,
        JobNotFoundError: _not_found,
        JobStateError: _conflict,
        ScheduleNotFoundError: _not_found,
        ScheduleExistsError: _conflict,
        ScheduleIsDeclaredError: _conflict,
        **dict.fromkeys(UNAVAILABLE, _unavailable),  # type: ignore[arg-type]
        asyncpg.UndefinedTableError: _not_migrated,
        Exception: _unexpected,
    }
)
"""For `Litestar(exception_handlers=…)`, which picks the closest base class of an error."""
