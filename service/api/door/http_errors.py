"""From what went wrong to the answer: nothing internal in it, and no 500 for a client's mistake."""

import re
import traceback
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import asyncpg
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException, InternalServerException, ValidationException

from service.db import UNAVAILABLE
from service.problem import FieldProblem, InvalidFieldError, Problem, field_problem, problem
from service.queue.errors import (
    InvalidOptionError,
    InvalidPayloadError,
    JobNotFoundError,
    JobStateError,
    PayloadTooLargeError,
    QueueError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
    UnknownTaskError,
)
from service.validation import explain

RETRY_AFTER_SECONDS = 5
# Litestar's own words, where it has no class or field for it.
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
    """What Litestar says of the parameters; that one is missing it says in its sentence alone."""
    if isinstance(error, ValidationException) and (missing := MISSING.match(error.detail)):
        return [FieldProblem(missing[1], "is missing")]
    problems = []
    for each in error.extra if isinstance(error.extra, list) else []:
        if isinstance(each, dict):
            field, message = str(each.get("key", "")), str(each.get("message", ""))
            name, _, path = field.partition(".")
            if parameter := request.route_handler.parsed_fn_signature.parameters.get(name):
                message = explain(message, path, parameter.annotation)
            problems.append(FieldProblem(field, message))
    return problems


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


Handler = Callable[..., Response[Problem]]
Handlers = dict[int | type[Exception], Handler]


def _freeing(answer: Handler) -> Handler:
    """The same handler; then what the failed calls had in their variables is free at once.

    An error and the frames of its traceback often hold each other, and with them the body: several
    megabytes that would stay until the garbage collector comes by.
    """

    def handle(request: Request[Any, Any, Any], error: Exception) -> Response[Problem]:
        response = answer(request, error)
        seen: BaseException | None = error
        while seen is not None:
            traceback.clear_frames(seen.__traceback__)
            seen = seen.__cause__ or seen.__context__
        return response

    return handle


def _all_freeing(handlers: Handlers) -> Handlers:
    return {kind: _freeing(answer) for kind, answer in handlers.items()}


EXCEPTION_HANDLERS = _all_freeing(
    {
        HTTPException: _http,
        InvalidFieldError: _invalid_field,
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
"""For `Litestar(exception_handlers=…)`; the closest base class of an error decides."""

ENQUEUE_HANDLERS = _all_freeing(
    {
        InvalidPayloadError: _invalid_payload,
        InvalidOptionError: _invalid_option,
        UnknownTaskError: _unknown_task,
    }
)
"""For routes that enqueue just what their caller sent: there, and nowhere else, a job that cannot
be is the caller's mistake. In any other route it is a mistake in the route: 500, and logged."""
