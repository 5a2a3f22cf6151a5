"""The example tasks over HTTP, to copy from and to try the queue with."""

from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar_saq import TaskQueues
from msgspec import Meta

from service.contract import QUEUE_NAME
from service.enqueue_answers import ENQUEUE_HANDLERS, Enqueued, accepted
from service.problem import documented

DELAY_MAX_SECONDS = 3660 * 86400  # ten years, the limit for every job
Text = Annotated[str, Meta(min_length=1, max_length=10_000)]
Id = int | str | None


class ExampleMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message for the example task."""

    message: Text


class DelayedMessage(msgspec.Struct, forbid_unknown_fields=True):
    """A message for the example task, and in how many seconds it runs."""

    message: Text
    delay_seconds: Annotated[float, Meta(ge=0, le=DELAY_MAX_SECONDS)]


class TestTask(msgspec.Struct, forbid_unknown_fields=True):
    """A message, and optional ids of a user and a project."""

    message: Text
    user_id: Id = None
    project_id: Id = None


@post(
    "/queue/example",
    status_code=202,
    tags=["Examples"],
    operation_id="QueueExample",
    summary="Log a message",
    responses=documented(403, 413, 415, 422),
)
async def queue_example(
    data: Annotated[ExampleMessage, Body(examples=[Example(value={"message": "hello"})])],
    task_queues: NamedDependency[TaskQueues],
) -> Response[Enqueued]:
    """Enqueue `example_task`, which logs the message."""
    job = await task_queues.get(QUEUE_NAME).enqueue("example_task", message=data.message)
    return accepted(job)


@post(
    "/queue/delayed",
    status_code=202,
    tags=["Examples"],
    operation_id="QueueDelayed",
    summary="Log it later",
    responses=documented(403, 413, 415, 422),
)
async def queue_delayed(
    data: Annotated[
        DelayedMessage, Body(examples=[Example(value={"message": "hello", "delay_seconds": 10})])
    ],
    task_queues: NamedDependency[TaskQueues],
) -> Response[Enqueued]:
    """Enqueue `example_task` for a time in the future."""
    queue = task_queues.get(QUEUE_NAME)
    job = await queue.enqueue("example_task", message=data.message, delay=data.delay_seconds)
    return accepted(job)


@post(
    "/api/v1/tasks/trigger-test",
    status_code=202,
    tags=["Examples"],
    operation_id="TriggerTest",
    summary="Prove the way from here to a worker",
    responses=documented(403, 413, 415, 422),
)
async def trigger_test(
    data: Annotated[
        TestTask, Body(examples=[Example(value={"message": "ping", "user_id": 7, "project_id": 1})])
    ],
    task_queues: NamedDependency[TaskQueues],
) -> Response[Enqueued]:
    """Enqueue `test_task`, whose result is its payload."""
    job = await task_queues.get(QUEUE_NAME).enqueue(
        "test_task", message=data.message, user_id=data.user_id, project_id=data.project_id
    )
    return accepted(job)


route_handlers = [
    Router(
        "/",
        route_handlers=[queue_example, queue_delayed, trigger_test],
        exception_handlers=ENQUEUE_HANDLERS,
    )
]
