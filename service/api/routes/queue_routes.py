"""The registered tasks, and the queue's figures."""

from datetime import datetime
from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from service.problem import Problem, documented, freeing, problem
from service.queue.errors import QueueNotFoundError
from service.queue.interface import JobQueue
from service.queue.tasks.registry import Registry
from service.queue.tasks.task import Schedule, Task


class QueueView(msgspec.Struct, frozen=True, kw_only=True):
    """A queue's figures now."""

    name: str
    paused: bool
    """No worker fetches from it until it is resumed."""
    paused_at: datetime | None
    """Null too with `redis://` and `memory://`, which do not remember it."""
    queued: int
    scheduled: int
    active: int
    failed: int
    workers: int
    oldest_due_seconds: float


class QueueList(msgspec.Struct, frozen=True):
    """The queues of this application."""

    items: list[QueueView]


class ScheduleView(msgspec.Struct, frozen=True):
    """When a task ticks: by a cron line, or at an interval."""

    cron: str | None
    every: str | None
    tz: str


class TaskView(msgspec.Struct, frozen=True, kw_only=True):
    """A task that can be enqueued, and the default options of its jobs."""

    name: str
    queue: str
    """Where its jobs go."""
    aliases: list[str]
    description: str
    payload_schema: dict[str, Any]
    timeout: int
    retries: int
    retry_delay: float
    backoff: bool | float
    ttl: int
    priority: int
    schedule: ScheduleView | None


class TaskList(msgspec.Struct, frozen=True):
    """The tasks of this release."""

    items: list[TaskView]


@get(
    "/",
    summary="All queues",
    operation_id="ListQueues",
    responses=documented(),
)
async def read_queues(queue: NamedDependency[JobQueue]) -> QueueList:
    """The figures of each queue now."""
    return QueueList([await _view(each) for each in queue.all])


@get(
    "/{name:str}",
    summary="One queue",
    operation_id="GetQueue",
    responses=documented(404),
)
async def read_queue(name: FromPath[str], queue: NamedDependency[JobQueue]) -> QueueView:
    """The queue's figures now: `queued` is its backlog, `scheduled` is not due yet."""
    return await _view(queue.named(name))


@post(
    "/{name:str}/pause",
    status_code=200,
    summary="Pause a queue",
    operation_id="PauseQueue",
    responses=documented(403, 404),
)
async def pause_queue(name: FromPath[str], queue: NamedDependency[JobQueue]) -> QueueView:
    """No worker fetches from it until it is resumed, also after a deployment.

    Running jobs go on; jobs can be enqueued, and wait. A paused queue starts no workers and rings
    no alarm.
    """
    await queue.named(name).pause()
    return await _view(queue.named(name))


@post(
    "/{name:str}/resume",
    status_code=200,
    summary="Resume a queue",
    operation_id="ResumeQueue",
    responses=documented(403, 404),
)
async def resume_queue(name: FromPath[str], queue: NamedDependency[JobQueue]) -> QueueView:
    """Workers fetch from it again at once."""
    await queue.named(name).resume()
    return await _view(queue.named(name))


@get(
    "/api/v1/tasks",
    tags=["Queues"],
    summary="All tasks",
    operation_id="ListTasks",
    responses=documented(),
    sync_to_thread=False,
)
def read_tasks(registry: NamedDependency[Registry]) -> TaskList:
    """The tasks that can be enqueued, with the JSON Schema of each payload."""
    return TaskList([_task(task) for _, task in sorted(registry.tasks.items())])


async def _view(queue: JobQueue) -> QueueView:
    stats = await queue.stats()
    return QueueView(
        name=queue.name,
        paused=stats.is_paused,
        paused_at=stats.paused_at,
        queued=stats.queued,
        scheduled=stats.scheduled,
        active=stats.active,
        failed=stats.failed,
        workers=stats.workers,
        oldest_due_seconds=round(stats.oldest_due_seconds, 3),
    )


def _task(task: Task) -> TaskView:
    return TaskView(
        name=task.name,
        queue=task.queue,
        aliases=list(task.aliases),
        description=(task.function.__doc__ or "").strip().partition("\n")[0],
        payload_schema=_schema(task.payload_type),
        timeout=task.timeout,
        retries=task.retries,
        retry_delay=task.retry_delay,
        backoff=task.backoff,
        ttl=task.ttl,
        priority=task.priority,
        schedule=_schedule(task.schedule),
    )


def _schedule(schedule: Schedule | None) -> ScheduleView | None:
    if schedule is None:
        return None
    timing = schedule.timing
    return ScheduleView(timing.cron, timing.every, timing.tz)


def _schema(payload_type: type[msgspec.Struct]) -> dict[str, Any]:
    """The payload's schema, without the outer reference and the generated title."""
    schema = msgspec.json.schema(payload_type)
    definitions = schema.pop("$defs", {})
    own: dict[str, Any] = definitions.pop(schema.pop("$ref", "").rpartition("/")[2], schema)
    own.pop("title", None)
    return own | ({"$defs": definitions} if definitions else {})


def _no_such_queue(request: Request[Any, Any, Any], error: QueueNotFoundError) -> Response[Problem]:
    return problem(request.scope["path"], 404, f"{error}.")


router = Router(
    "/api/v1/queues",
    route_handlers=[read_queues, read_queue, pause_queue, resume_queue],
    tags=["Queues"],
    exception_handlers=freeing({QueueNotFoundError: _no_such_queue}),
)
route_handlers: list[ControllerRouterHandler] = [router, read_tasks]
