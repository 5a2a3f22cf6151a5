"""The answers of routes that enqueue: where the job is, or what is wrong with the request."""

from typing import Any
from urllib.parse import quote

import msgspec
from litestar import Request, Response

from service.problem import FieldProblem, Problem, field_problem, freeing, problem
from service.queue import (
    InvalidOptionError,
    InvalidPayloadError,
    Job,
    PayloadTooLargeError,
    UnknownTaskError,
)

JOBS_PATH = "/api/v1/jobs"


def job_path(key: str) -> str:
    """The path of the job with that key."""
    return f"{JOBS_PATH}/{quote(key, safe='')}"


class Enqueued(msgspec.Struct, frozen=True, kw_only=True):
    """An enqueued job. `/api/v1/jobs/{job_id}` shows its status."""

    job_id: str
    status: str
    message: str


def accepted(job: Job | None) -> Response[Enqueued]:
    """202 for an enqueued job. Only for a job with a new key, which `enqueue` never refuses."""
    assert job is not None
    return Response(
        Enqueued(job_id=job.key, status=job.status.value, message="Queued; a worker will run it."),
        headers={"Location": job_path(job.key)},
    )


def _invalid_payload(
    request: Request[Any, Any, Any], error: InvalidPayloadError
) -> Response[Problem]:
    found = field_problem(error.reason, error.field)
    status = 413 if isinstance(error, PayloadTooLargeError) else 422
    return problem(request.scope["path"], status, f"{found.field}: {found.message}", errors=[found])


def _invalid_option(
    request: Request[Any, Any, Any], error: InvalidOptionError
) -> Response[Problem]:
    return problem(
        request.scope["path"], 422, str(error), errors=[FieldProblem(error.option, error.reason)]
    )


def _unknown_task(request: Request[Any, Any, Any], error: UnknownTaskError) -> Response[Problem]:
    return problem(
        request.scope["path"],
        404,
        f"{error}.",
        errors=[FieldProblem("task", "is not the name of a task")],
    )


ENQUEUE_HANDLERS = freeing(
    {
        InvalidPayloadError: _invalid_payload,
        InvalidOptionError: _invalid_option,
        UnknownTaskError: _unknown_task,
    }
)
"""For routes that enqueue what their caller sent: there a wrong task, payload or option is the
caller's mistake. In any other route it is the route's mistake: 500, and logged."""
