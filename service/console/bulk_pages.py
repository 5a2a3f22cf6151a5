"""Changes of many jobs: asked for on the page of jobs, followed on a page of their own."""

from collections.abc import AsyncIterator
from typing import Any

import asyncpg
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.response import ServerSentEvent
from litestar.response.sse import ServerSentEventMessage

from service.console import audit
from service.console.actions import Asked, to_page, verb_of
from service.console.door import may_act, signed_in
from service.console.job_filters import query_of, words_of
from service.console.overview import Lookout
from service.console.pages import LIVE_SECONDS, PAGE_JOBS
from service.console.refusals import REFUSALS
from service.console.rendering import html, render
from service.contract import CONSOLE_PATH
from service.db import UNAVAILABLE
from service.paging import PAGE_MAX_ITEMS, Cursor, position
from service.problem import InvalidFieldError
from service.queue.bulk_action import ACTIONS, BulkRequest
from service.queue.interface import JobQueue
from service.queue.job import STATUSES

LOOK_SECONDS = 1.0


@get("/")
async def show_bulk_actions(
    request: Asked, queue: NamedDependency[JobQueue], cursor: Cursor = None
) -> Response[str]:
    """All of them, newest first."""
    found = await queue.bulk.page(before=position(cursor), limit=PAGE_JOBS + 1)
    page = found[:PAGE_JOBS]
    more = query_of({}, cursor=page[-1].id) if len(found) > PAGE_JOBS else ""
    values = {"actions": page, "more": more}
    return html(render("bulk_actions.html", visitor=request.user, here="bulk", **values))


@get("/{number:int}")
async def show_bulk_action(
    number: FromPath[int], request: Asked, queue: NamedDependency[JobQueue]
) -> Response[str]:
    """One of them, and how far it has come."""
    action = await queue.bulk.get(number)
    values = {"action": action, "query": query_of(action.filter)}
    return html(render("bulk_action.html", visitor=request.user, here="bulk", **values))


@get("/{number:int}/live", media_type="text/event-stream")
async def follow_bulk_action(
    number: FromPath[int],
    request: Asked,
    queue: NamedDependency[JobQueue],
    lookout: NamedDependency[Lookout],
) -> ServerSentEvent:
    """How far it has come, once in a second, until it has ended."""
    await queue.bulk.get(number)

    async def parts() -> AsyncIterator[ServerSentEventMessage]:
        async for _ in lookout.looks(every=LOOK_SECONDS, seconds=LIVE_SECONDS):
            try:
                action = await queue.bulk.get(number)
            except UNAVAILABLE:
                yield ServerSentEventMessage(comment="not now")
                continue
            part = render("bulk_action_now.html", visitor=request.user, action=action)
            yield ServerSentEventMessage(event="part", data=part)
            if action.state != "running":
                yield ServerSentEventMessage(event="end", data=action.state)
                return

    return ServerSentEvent(parts())


@post("/", status_code=303)
async def begin_bulk_action(
    request: Asked, queue: NamedDependency[JobQueue], pool: NamedDependency[asyncpg.Pool]
) -> Response[str]:
    """Begin one with the jobs that were chosen; with all that a filter leaves, ask once more."""
    form = await request.form()
    given = {name: str(form.get(name, "")) for name in ("action", "priority", "filter", "which")}
    keys = [str(key) for key in form.getall("key", [])]
    which = given["which"]
    if which not in {"chosen", "all", "confirmed"}:
        raise InvalidFieldError("which", "is none of chosen, all, confirmed")
    # The form of all that match has the boxes of those that are chosen, too.
    is_all = which == "all" or (which == "confirmed" and not keys)
    if not is_all and not keys:
        raise InvalidFieldError("key", "is missing: no job was chosen")
    asked = BulkRequest(
        action=given["action"],
        wanted=_wanted(given["filter"], given["action"]) if is_all else {},
        keys=None if is_all else keys,
        priority=_priority(given["priority"]) if given["action"] == "priority" else None,
        who=request.user.who,
    )
    if which == "all" or (which == "chosen" and asked.action == "delete"):
        return await _ask_again(request, queue, asked)
    begun = await queue.bulk.begin(asked)
    await audit.note_bulk(pool, begun)
    return to_page(f"/bulk/{begun.id}")


@post(["/{number:int}/stop", "/{number:int}/resume", "/{number:int}/undo"], status_code=303)
async def switch_bulk_action(
    number: FromPath[int],
    request: Asked,
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[str]:
    """Stop it, go on with it, or change back what it has changed."""
    verb = verb_of(request)
    if verb == "undo":
        begun = await queue.bulk.undo(number, request.user.who)
        await audit.note_bulk(pool, begun)
        return to_page(f"/bulk/{begun.id}")
    await (queue.bulk.stop(number) if verb == "stop" else queue.bulk.resume(number))
    await audit.note(pool, request.user.who, verb, f"bulk action {number}", bulk_action=number)
    return to_page(f"/bulk/{number}")


async def _ask_again(request: Asked, queue: JobQueue, asked: BulkRequest) -> Response[str]:
    """A page with what would be changed, and how many jobs match now."""
    if asked.keys is not None:
        found, is_whole = len(asked.keys), True
    else:
        page = await queue.search_records(asked.filter, limit=PAGE_MAX_ITEMS)
        found, is_whole = len(page.records), page.before is None
    values = {
        "asked": asked, "query": query_of(asked.words), "found": found, "is_whole": is_whole,
    }  # fmt: skip
    return html(render("bulk_confirm.html", visitor=request.user, here="jobs", **values))


def _wanted(query: str, action: str) -> dict[str, Any]:
    """The words of the filter; where it has none, the state that the action is for."""
    return words_of(query) or {"status": ACTIONS.get(action, STATUSES)[0]}


def _priority(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidFieldError("priority", f"{text!r} is no whole number") from None


router = Router(
    f"{CONSOLE_PATH}/bulk",
    route_handlers=[
        show_bulk_actions, show_bulk_action, follow_bulk_action,
        Router("/", route_handlers=[begin_bulk_action, switch_bulk_action], guards=[may_act]),
    ],
    guards=[signed_in],
    exception_handlers=REFUSALS,
    include_in_schema=False,
)  # fmt: skip
