"""What people do in the console, each with a line in the audit log."""

from typing import Any
from urllib.parse import quote, unquote

import asyncpg
import msgspec
from litestar import Request, Response, Router, post
from litestar.di import NamedDependency
from litestar.params import FromPath

from service.console import audit
from service.console.door import may_act, signed_in
from service.console.refusals import REFUSALS
from service.console.rendering import html
from service.console.task_form import read_form
from service.contract import CONSOLE_PATH
from service.problem import InvalidFieldError
from service.queue.errors import (
    JobNotFoundError,
)
from service.queue.interface import JobQueue
from service.queue.schedules import schedule_requests
from service.queue.tasks.enqueue import JobOptions, build_job
from service.queue.tasks.registry import Registry
from service.validation import refuse_unstorable

Asked = Request[Any, Any, Any]


@post("/jobs/{key:str}/retry", status_code=303)
async def retry_job(
    key: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Queue an ended job again, with all its attempts."""
    key = unquote(key)
    if (job := await queue.job(key)) is None:
        raise JobNotFoundError(key)
    await queue.retry(job, f"retried in the console by {request.user.who}")
    await audit.note(pool, request.user.who, "retry job", job.key, 1)
    return to_page(_job_page(job.key))


@post("/jobs/{key:str}/cancel", status_code=303)
async def cancel_job(
    key: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """End a waiting job at once, and a running one as soon as its worker has stopped it."""
    key = unquote(key)
    if (job := await queue.job(key)) is None:
        raise JobNotFoundError(key)
    await queue.abort(job, f"cancelled in the console by {request.user.who}")
    await audit.note(pool, request.user.who, "cancel job", job.key, 1)
    return to_page(_job_page(job.key))


@post("/tasks/{name:str}/enqueue", status_code=303)
async def enqueue(
    *,
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    registry: NamedDependency[Registry],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Enqueue a job of a task, with a field for each parameter or its `payload` as JSON.

    The payload is checked first.
    """
    form = {name: str(value) for name, value in (await request.form()).items()}
    try:
        if "payload" in form:
            payload = msgspec.json.decode(form["payload"], type=dict[str, Any])
        else:
            payload = read_form(registry.get(name), form)
        refuse_unstorable(payload, "payload")
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise InvalidFieldError("payload", f"is no JSON object: {error}") from None
    job = build_job(registry, name, payload, _options(form.get("delay", "")))
    await queue.enqueue(job)
    await audit.note(pool, request.user.who, f"enqueue {job.function}", job.key, 1)
    return to_page(_job_page(job.key))


@post(["/queues/{name:str}/pause", "/queues/{name:str}/resume"], status_code=303)
async def switch_queue(
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Pause a queue, so that no worker fetches from it, or resume it."""
    verb = verb_of(request)
    if verb == "pause":
        await queue.named(name).pause()
    else:
        await queue.named(name).resume()
    await audit.note(pool, request.user.who, f"{verb} queue", name)
    return to_page("/")


@post(["/schedules/{name:str}/enable", "/schedules/{name:str}/disable"], status_code=303)
async def switch_schedule(
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Let a schedule tick again, from its next tick on, or stop its ticks; running jobs go on."""
    verb = verb_of(request)
    if verb == "enable":
        await schedule_requests.enable_schedule(queue, name)
    else:
        await schedule_requests.disable_schedule(queue, name)
    await audit.note(pool, request.user.who, f"{verb} schedule", name)
    return to_page("/schedules")


@post("/schedules/{name:str}/run", status_code=303)
async def run_schedule(
    name: FromPath[str],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Enqueue a schedule's job now, apart from its ticks."""
    key = await schedule_requests.run_schedule_now(queue, name)
    await audit.note(pool, request.user.who, f"run schedule {name}", key, 1)
    return to_page(_job_page(key))


def _options(delay: str) -> JobOptions:
    try:
        return msgspec.convert({"delay": float(delay)} if delay.strip() else {}, JobOptions)
    except (ValueError, msgspec.ValidationError):
        raise InvalidFieldError("delay", f"{delay!r} is no number of seconds") from None


def verb_of(request: Asked) -> str:
    """The last name of the path: what is asked for."""
    return str(request.scope["path"].rstrip("/").rpartition("/")[2])


def _job_page(key: str) -> str:
    return f"/jobs/{quote(key, safe='')}"


def to_page(page: str) -> Response[str]:
    """The answer that leads to a page of the console."""
    return html("", 303, Location=f"{CONSOLE_PATH}{page}")


router = Router(
    CONSOLE_PATH,
    route_handlers=[
        retry_job, cancel_job, enqueue, switch_queue, switch_schedule, run_schedule,
    ],
    guards=[signed_in, may_act],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
