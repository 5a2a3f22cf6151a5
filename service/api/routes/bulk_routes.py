"""Changes of many jobs at once over HTTP: begin, follow, stop, resume, undo."""

from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Any, Literal

import asyncpg
import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from service.console import audit
from service.enqueue_answers import ENQUEUE_HANDLERS
from service.paging import Cursor, Limit, position, refuse_others
from service.problem import documented
from service.queue.bulk_action import BulkAction, BulkRequest
from service.queue.interface import JobQueue

BULK_PATH = "/api/v1/bulk-actions"


class BulkFilter(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The filters of a list of jobs, which combine."""

    status: str | None = None
    task: str | None = None
    queue: str | None = None
    worker: str | None = None
    since: str | None = None
    until: str | None = None
    error: str | None = None
    key: str | None = None
    payload: list[str] | None = None


class NewBulkAction(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What to do with the jobs that a filter leaves, or with these `keys`, a thousand at most."""

    action: Literal["retry", "cancel", "delete", "run-now", "priority"]
    filter: BulkFilter | None = None
    keys: list[str] | None = None
    priority: int | None = None
    """For the action `priority`: the lower, the sooner."""
    who: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "the API key"
    """For the audit log."""


class Asked(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Who asks for it."""

    who: Annotated[str, msgspec.Meta(min_length=1, max_length=100)] = "the API key"


class BulkView(msgspec.Struct, frozen=True, kw_only=True):
    """A change of many jobs, and how far it has come."""

    id: int
    action: str
    """`undo` for one that changes back what `undoes` has changed."""
    priority: int | None
    filter: dict[str, Any]
    keys: list[str] | None
    undoes: int | None
    undone_by: int | None
    who: str
    state: str
    """`running`, `stopped` or `done`."""
    percent: float
    """How much of the jobs it has looked at, 0 to 100."""
    changed: int
    """Jobs that it has changed."""
    error: str | None
    """Why it has stopped, where nobody has asked for it."""
    created_at: datetime
    ended_at: datetime | None


class BulkPage(msgspec.Struct, frozen=True):
    """Bulk actions, newest first; `next_cursor` leads to older ones."""

    items: list[BulkView]
    next_cursor: str | None


NEW = Body(
    examples=[
        Example(
            summary="Run again what failed since the morning",
            value={
                "action": "retry",
                "filter": {
                    "status": "failed",
                    "task": "send_welcome_email",
                    "since": "2026-11-28T06:00Z",
                },
            },
        )
    ]
)


@post(
    "/",
    status_code=202,
    summary="Change many jobs",
    operation_id="CreateBulkAction",
    responses=documented(403, 422),
)
async def create_bulk_action(
    data: Annotated[NewBulkAction, NEW],
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[BulkView]:
    """It is made in the background, a thousand jobs at a time; read it to follow it.

    `retry` and `delete` change failed jobs unless the filter names another `status`, `cancel`,
    `run-now` and `priority` waiting ones. Jobs that are enqueued later, or that end later, stay as
    they are. If a process dies, another one goes on; no job is changed twice. `delete` removes jobs
    from the queue with their payload and result, and leaves their history.
    """
    request = BulkRequest(
        action=data.action,
        wanted=msgspec.to_builtins(data.filter) if data.filter else {},
        keys=data.keys,
        priority=data.priority,
        who=data.who,
    )
    begun = await queue.bulk.begin(request)
    await audit.note_bulk(pool, begun)
    return Response(view(begun), headers={"Location": f"{BULK_PATH}/{begun.id}"})


@get("/", summary="List bulk actions", operation_id="ListBulkActions", responses=documented(422))
async def read_bulk_actions(
    request: Request[Any, Any, Any],
    queue: NamedDependency[JobQueue],
    cursor: Cursor = None,
    limit: Limit = 50,
) -> BulkPage:
    """All of them, newest first."""
    refuse_others(request, {"cursor", "limit"})
    found = await queue.bulk.page(before=position(cursor), limit=limit + 1)
    more = str(found[limit - 1].id) if len(found) > limit else None
    return BulkPage([view(each) for each in found[:limit]], more)


@get(
    "/{number:int}",
    summary="One bulk action",
    operation_id="GetBulkAction",
    responses=documented(404),
)
async def read_bulk_action(number: FromPath[int], queue: NamedDependency[JobQueue]) -> BulkView:
    """How far it has come."""
    return view(await queue.bulk.get(number))


@post(
    "/{number:int}/stop",
    status_code=200,
    summary="Stop a bulk action",
    operation_id="StopBulkAction",
    responses=documented(403, 404, 409),
)
async def stop_bulk_action(
    number: FromPath[int],
    data: Annotated[Asked, Body()],
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> BulkView:
    """What it has changed stays; it can be resumed, or undone."""
    stopped = await queue.bulk.stop(number)
    await audit.note(pool, data.who, "stop", f"bulk action {number}", bulk_action=number)
    return view(stopped)


@post(
    "/{number:int}/resume",
    status_code=202,
    summary="Resume a bulk action",
    operation_id="ResumeBulkAction",
    responses=documented(403, 404, 409),
)
async def resume_bulk_action(
    number: FromPath[int],
    data: Annotated[Asked, Body()],
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> BulkView:
    """It goes on where it was stopped."""
    resumed = await queue.bulk.resume(number)
    await audit.note(pool, data.who, "resume", f"bulk action {number}", bulk_action=number)
    return view(resumed)


@post(
    "/{number:int}/undo",
    status_code=202,
    summary="Undo a bulk action",
    operation_id="UndoBulkAction",
    responses=documented(403, 404, 409),
)
async def undo_bulk_action(
    number: FromPath[int],
    data: Annotated[Asked, Body()],
    queue: NamedDependency[JobQueue],
    pool: NamedDependency[asyncpg.Pool],
) -> Response[BulkView]:
    """A bulk action of its own, which changes jobs back to what they were.

    Only jobs that nothing has happened to since: a retried job that has started stays as it is. A
    `delete` cannot be undone.
    """
    begun = await queue.bulk.undo(number, data.who)
    await audit.note_bulk(pool, begun)
    return Response(view(begun), headers={"Location": f"{BULK_PATH}/{begun.id}"})


def view(action: BulkAction) -> BulkView:
    """The bulk action as it is answered."""
    fields = asdict(action)
    shown = {name: fields[name] for name in BulkView.__struct_fields__ if name in fields}
    return BulkView(**shown, percent=round(action.share * 100, 1))


router = Router(
    BULK_PATH,
    route_handlers=[
        create_bulk_action,
        read_bulk_actions,
        read_bulk_action,
        stop_bulk_action,
        resume_bulk_action,
        undo_bulk_action,
    ],
    tags=["Jobs"],
    exception_handlers=ENQUEUE_HANDLERS,
)
