"""Three routes that enqueue, and one that shows a job travel: examples to copy from and to try."""

from typing import Annotated, Any, cast
from urllib.parse import quote

import msgspec
from litestar import Response, Router, post
from litestar.params import Body
from litestar.openapi.spec import Example
from litestar_saq import TaskQueues
from msgspec import Meta
from saq import Job

from service.api.errors import documented
from service.contract import QUEUE_NAME

Message = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Enqueued(msgspec.Struct, frozen=True):
    """A job that was queued; ask `/api/v1/jobs/{job_id}` how it goes."""

    job_id: str
    status: str
