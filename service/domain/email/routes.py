"""E-mail over HTTP."""

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

# One line each, because a line break in a header would start another header.
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


class Email(msgspec.Struct, forbid_unknown_fields=True):
    """A message to one recipient."""

    to: Address
    subject: Subject
    email_body: Annotated[str, Meta(max_length=50_000)]


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
    """Enqueue `send_email`, which uses SES where it is configured, else the local outbox."""
    queue = task_queues.get(QUEUE_NAME)
    job = await queue.enqueue("send_email", to=data.to, subject=data.subject, body=data.email_body)
    return accepted(job)


route_handlers = [Router("/", route_handlers=[queue_email], exception_handlers=ENQUEUE_HANDLERS)]
