"""Where a job comes from: the request, or the other job, inside of which it is enqueued."""

from collections.abc import Mapping
from contextvars import ContextVar
from types import MappingProxyType

from saq import Job

# In a job's meta.
REQUEST_ID = "request_id"  # in the log context too: also that of the parent's request
REQUEST = "request_line"  # `POST /api/v1/orders`, without the query
PARENT = "parent_job"  # the key of the job that was running
REQUEST_MAX_CHARACTERS = 200

# What goes into the meta of each job that is enqueued here.
ORIGIN: ContextVar[Mapping[str, str]] = ContextVar("origin", default=MappingProxyType({}))


def of_request(request_id: str, method: str, path: str) -> Mapping[str, str]:
    """The origin of what a request enqueues. The path as it was sent, without query."""
    return {REQUEST_ID: request_id, REQUEST: f"{method} {path}"[:REQUEST_MAX_CHARACTERS]}


def of_job(key: str, request_id: str | None) -> Mapping[str, str]:
    """The origin of what a job enqueues while it runs."""
    return {PARENT: key} if request_id is None else {PARENT: key, REQUEST_ID: request_id}


def parent_of(job: Job) -> str | None:
    """The key of the job that has enqueued this one; None for what nobody could have as a key."""
    parent = job.meta.get(PARENT)
    return parent if isinstance(parent, str) and "\0" not in parent else None
