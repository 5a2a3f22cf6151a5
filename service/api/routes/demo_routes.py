"""The shipped examples over HTTP: to copy from, and to try a job's way from here to a worker."""

from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body
from litestar_saq import TaskQueues
from msgspec import Meta
from saq import Job

from service.api.door.http_errors import ENQUEUE_HANDLERS
from service.api.routes.job_routes import job_path
from service.contract import QUEUE_NAME
from service.problem import documented
from service.queue.tasks.enqueue import DELAY_MAX_SECONDS

Text = Annotated[str, Meta(min_length=1, max_length=10_000)]
# One line each: a line break in a header would start another header.
Address = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s]+@[^@\s]+$(?!\n)",
        max_length=320,
        description="an e-mail address, such as ada@example.com",
    ),
]
Subject = Annotated[
    str, Meta(pattern=r"^[^\r\n]+$(?!\n)", max_length=998, description="one line of text")
]
Id = int | str | None


class ExampleMessage(msgspec.Struct, forbid_unknown_fields=True):
    """What the example task logs."""

    message: Text


class DelayedMessage(msgspec.Struct, forbid_unknown_fields=True):
    """What the example task logs, and how many seconds from now."""

    message: Text
    delay_seconds: Annotated[float, Meta(ge=0, le=DELAY_MAX_SECONDS)]


class Email(msgspec.Struct, forbid_unknown_fields=True):
    """A message to one recipient."""

    to: Address
    subject: Subject
    email_body: Annotated[str, Meta(max_length=50_000)]


class TestTask(msgspec.Struct, forbid_unknown_fields=True):
    """A message, and whom it is about."""

    message: Text
    user_id: Id = None
    project_id: Id = None


class Enqueued(msgspec.Struct, frozen=True, kw_only=True):
    """The job; `/api/v1/jobs/{job_id}` tells how it goes."""

    job_id: str
    status: str
    message: str


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
    return _accepted(job)


@post(
    "/queue/email",
    status_code=202,
    tags=["Examples"],
    operation_id="QueueEmail",
    summary="Send an e-mail",
    responses=documented(403, 413, 415, 422),
)
async def queue_email(
    data: Annotated[
        Email,
        Body(
            examples=[
                Example(
                    value={
                        "to": "ada@example.com",
                        "subject": "Hello",
                        "email_body": "How are you?",
                    }
                )
            ]
        ),
    ],
    task_queues: NamedDependency[TaskQueues],
) -> Response[Enqueued]:
    """Enqueue `send_email`: through SES where it is configured, else into the local outbox."""
    queue = task_queues.get(QUEUE_NAME)
    job = await queue.enqueue("send_email", to=data.to, subject=data.subject, body=data.email_body)
    return _accepted(job)


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
    return _accepted(job)


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
    """Enqueue `test_task`, whose job answers with what it was given."""
    job = await task_queues.get(QUEUE_NAME).enqueue(
        "test_task", message=data.message, user_id=data.user_id, project_id=data.project_id
    )
    return _accepted(job)


def _accepted(job: Job | None) -> Response[Enqueued]:
    assert job is not None  # its key is new, so nothing else can be waiting under it
    return Response(
        Enqueued(job_id=job.key, status=job.status.value, message="Queued; a worker will run it."),
        headers={"Location": job_path(job.key)},
    )


router = Router(
    "/",
    route_handlers=[queue_example, queue_email, queue_delayed, trigger_test],
    exception_handlers=ENQUEUE_HANDLERS,
)
