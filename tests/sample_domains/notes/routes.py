"""Keep a note by HTTP."""

from typing import Annotated

import msgspec
from litestar import Response, Router, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from litestar_saq import TaskQueues
from msgspec import Meta

from service.contract import QUEUE_NAME
from service.enqueue_answers import ENQUEUE_HANDLERS, Enqueued, accepted

from .jobs.tasks import Line  # its package is another one in a copy of the project

DELAY_MAX_SECONDS = 3660 * 86400  # ten years: no job waits longer


class Note(msgspec.Struct, forbid_unknown_fields=True):
    """A note, whose it is, and in how many seconds it is to be kept."""

    message: Annotated[str, Meta(min_length=1, max_length=50_000)]
    user_id: int | str | None = None
    author: Line = ""
    delay_seconds: Annotated[float, Meta(ge=0, le=DELAY_MAX_SECONDS)] = 0


@post("/notes", status_code=202)
async def queue_note(
    data: JSONBody[Note], task_queues: NamedDependency[TaskQueues]
) -> Response[Enqueued]:
    """Enqueue `keep_note`."""
    job = await task_queues.get(QUEUE_NAME).enqueue(
        "keep_note",
        message=data.message,
        user_id=data.user_id,
        author=data.author,
        delay=data.delay_seconds,
    )
    return accepted(job)


route_handlers = [Router("/", route_handlers=[queue_note], exception_handlers=ENQUEUE_HANDLERS)]
