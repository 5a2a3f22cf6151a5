"""The pages of the console that show something."""

from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import unquote

import asyncpg
from litestar import Request, Response, Router, get
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from service.console import audit
from service.console.door import signed_in
from service.console.frames import parts
from service.console.job_filters import payload_starts, query_of, words_of
from service.console.job_page import example, moments, pretty
from service.console.overview import Lookout, reason
from service.console.refusals import REFUSALS
from service.console.rendering import STATIC, html, render
from service.console.task_form import fields_of
from service.console.ticks import next_ticks
from service.contract import CONSOLE_PATH
from service.paging import Cursor, position
from service.problem import InvalidFieldError
from service.queue.bulk_action import ACTIONS
from service.queue.errors import InvalidOptionError
from service.queue.interface import JobQueue
from service.queue.job import STATUSES
from service.queue.job_filter import FILTERS, RecordPage, read_filter
from service.queue.schedules.schedule_requests import list_schedules
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.registry import Registry
from service.queue.worker.progress import MESSAGE
from service.redact import redacted

PAGE_JOBS = 50
LIVE_SECONDS = 600.0  # then the browser connects again, and its session is looked at again
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}

Asked = Request[Any, Any, Any]


@get("/", include_in_schema=False)
async def show_overview(request: Asked, lookout: NamedDependency[Lookout]) -> Response[str]:
    """Is it well?"""
    now = await lookout.now()
    return html(render("overview.html", visitor=request.user, here="overview", now=now))


@get("/static/{name:str}", include_in_schema=False, sync_to_thread=False)
def send_static(name: FromPath[str]) -> Response[bytes]:
    """Style sheet and script. They hold nothing of a stage, so everybody may have them."""
    if (found := STATIC.get(name)) is None:
        raise NotFoundException
    return Response(found, media_type=f"{TYPES[name.rpartition('.')[2]]}; charset=utf-8")


@get("/live", include_in_schema=False, media_type="text/event-stream")
async def follow_overview(request: Asked, lookout: NamedDependency[Lookout]) -> ServerSentEvent:
    """The changing part of the overview, as often as it changes."""

    async def parts() -> AsyncIterator[ServerSentEventMessage]:
        last = ""
        async for now in lookout.follow(LIVE_SECONDS):
            if now is None:  # the database is away; the page says how old it is
                yield ServerSentEventMessage(comment="not now")
                continue
            part = render("overview_now.html", visitor=request.user, now=now)
            if part != last:
                yield ServerSentEventMessage(event="part", data=part)
            yield ServerSentEventMessage(event="at", data=now.at.isoformat())
            last = part

    return ServerSentEvent(parts())


@get("/jobs", include_in_schema=False)
async def show_jobs(
    request: Asked, queue: NamedDependency[JobQueue], cursor: Cursor = None
) -> Response[str]:
    """The jobs that a filter in the address chooses, newest first."""
    words = words_of(request.url.query)
    page, problem = RecordPage(records=[], before=None), ""
    try:
        page = await queue.search_records(
            read_filter(words), before=position(cursor), limit=PAGE_JOBS
        )
    except (InvalidFieldError, InvalidOptionError) as error:
        problem = str(error)
    values = {
        "given": dict.fromkeys(FILTERS, "") | words, "words": words.get("payload", []),
        "page": page, "problem": problem, "query": query_of(words), "actions": ACTIONS,
        "more": query_of(words, cursor=page.before) if page.before is not None else "",
        "newest": query_of(words) if cursor else None,
        "statuses": STATUSES, "queues": queue.names, "tasks": sorted(queue.registry.tasks),
        "starts": payload_starts(queue.registry, words.get("task", "")),
    }  # fmt: skip
    answer = render("jobs.html", visitor=request.user, here="jobs", **values)
    return html(answer, 422 if problem else 200)


@get("/jobs/{key:str}", include_in_schema=False)
async def show_job(
    key: FromPath[str], request: Asked, queue: NamedDependency[JobQueue]
) -> Response[str]:
    """One job: its line of time, what it was given, what became of it."""
    record = await queue.find_record(unquote(key))  # a key may hold a slash
    if record is None:
        page = render("missing.html", visitor=request.user, here="jobs", key=unquote(key))
        return html(page, 404)
    job = await queue.job(record.key)
    payload = result = None
    if job is not None:
        payload = "" if LARGE_PAYLOAD in job.meta else pretty(redacted(job.kwargs or {}))
        result = pretty(redacted(job.result)) if job.result is not None else None
    return html(
        render(
            "job.html", visitor=request.user, here="jobs", job=record,
            moments=moments(record, await queue.attempts(record)),
            payload=payload, payload_object=job.meta.get(LARGE_PAYLOAD) if job else None,
            result=result, progress=job.progress if job else None,
            message=redacted(job.meta.get(MESSAGE)) if job else None,
            trace=parts(redacted(record.error)) if record.error else [],
            reason=reason(record.error), is_kept=job is not None,
            is_known=record.task in queue.registry.tasks,
            waiting=await queue.why_waiting(record), relatives=await queue.relatives(record),
            origin=redacted(job.meta) if job else {},
            retries=job.retries if job else None, priority=job.priority if job else None,
        )
    )  # fmt: skip


@get("/schedules", include_in_schema=False)
async def show_schedules(request: Asked, queue: NamedDependency[JobQueue]) -> Response[str]:
    """Every schedule, with its next ticks."""
    found = await list_schedules(queue)
    values = {"schedules": found, "reason": reason, "next_ticks": next_ticks}
    return html(render("schedules.html", visitor=request.user, here="schedules", **values))


@get("/tasks", include_in_schema=False, sync_to_thread=False)
def show_tasks(request: Asked, registry: NamedDependency[Registry]) -> Response[str]:
    """Every task of this release, and how its jobs are run."""
    tasks = [registry.tasks[name] for name in sorted(registry.tasks)]
    return html(
        render(
            "tasks.html",
            visitor=request.user,
            here="tasks",
            tasks=tasks,
            example=example,
            fields_of=fields_of,
        )
    )


@get("/audit", include_in_schema=False)
async def show_audit(
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
    cursor: Cursor = None,
) -> Response[str]:
    """Who has done what here."""
    found = await audit.page(pool, before=position(cursor), limit=PAGE_JOBS + 1)
    page = found[:PAGE_JOBS]
    numbers = {each.bulk_action for each in page if each.bulk_action is not None}
    bulk = await queue.bulk.changed(numbers) if numbers else {}
    more = query_of({}, cursor=page[-1].id) if len(found) > PAGE_JOBS else ""
    values = {"actions": page, "bulk": bulk, "more": more}
    return html(render("audit.html", visitor=request.user, here="audit", **values))


static = Router(CONSOLE_PATH, route_handlers=[send_static], include_in_schema=False)
router = Router(
    CONSOLE_PATH,
    route_handlers=[
        show_overview, follow_overview, show_jobs, show_job, show_schedules, show_tasks, show_audit,
    ],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
