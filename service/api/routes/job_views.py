"""The JSON bodies of the job routes, of requests and answers."""

from datetime import datetime
from typing import Any, Literal

import msgspec

from service.queue.attempts import Outcome
from service.queue.tasks.enqueue import JobOptions
from service.queue.waiting import Code

StatusName = Literal["queued", "active", "aborting", "complete", "failed", "aborted"]

BadStatusName = Literal["failed", "aborted"]


class JobRequest(JobOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A task, its payload, and the options of this job."""

    task: str
    payload: dict[str, Any] = msgspec.field(default_factory=dict)


class JobAccepted(msgspec.Struct, frozen=True, kw_only=True):
    """The job, or the one with its key that already waits or runs (`created` is false then)."""

    job_id: str
    task: str
    status: str
    created: bool


class JobChanged(msgspec.Struct, frozen=True):
    """The job's status right after the change."""

    job_id: str
    status: str


class JobSummary(msgspec.Struct, frozen=True, kw_only=True):
    """One job of the history; `job_id` is its key."""

    job_id: str
    queue: str
    task: str
    status: str
    attempts: int
    crashes: int
    error: str | None
    worker_id: str | None
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class WaitingFor(msgspec.Struct, frozen=True):
    """Why a job waits: a `code`, and a sentence that says what to do."""

    code: Code
    message: str
    job_id: str | None
    """The job that it waits for, where it is one."""


class AttemptView(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt of a job."""

    attempt: int
    """Counts from 1, and again from 1 once somebody has the ended job run again."""
    outcome: Outcome
    worker_id: str | None
    started_at: datetime | None
    """Null where the job was aborted before the attempt began."""
    ended_at: datetime | None
    error: str | None


class JobDetail(JobSummary, frozen=True, kw_only=True):
    """One job, with its payload and result for as long as the queue keeps them.

    A payload over 64 KiB is an object in the stage's bucket, and `payload` is null. Of passwords,
    tokens and keys both show `[hidden]`: `REDACT_NAMES` says by which names.
    """

    is_kept: bool
    payload: dict[str, Any] | None
    payload_object: str | None
    """The key of that object."""
    result: Any
    progress: float | None
    """0 to 100, as the task reports it."""
    message: str | None
    """The text of the task's last report."""
    attempts_made: list[AttemptView]
    """The last attempt and at most twenty before it, the oldest first."""
    request_id: str | None
    """Of the request in which it was enqueued, or its parent was."""
    request: str | None
    """That request, where it has enqueued this job itself: `POST /api/v1/orders`."""
    parent_job_id: str | None
    """The job that was running and has enqueued this one."""
    children: list[JobSummary]
    """The jobs that it has enqueued itself, the first fifty."""
    has_more_children: bool
    waiting_for: WaitingFor | None
    """Null unless the job waits."""


class JobEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A job's state in its event stream."""

    status: str
    attempts: int
    progress: float | None
    message: str | None
    error: str | None


class JobPage(msgspec.Struct, frozen=True):
    """Jobs, newest first; `next_cursor` leads to older ones."""

    items: list[JobSummary]
    next_cursor: str | None
    searched_until: datetime | None
    """Null for a full page and the last one; else it looked at jobs down to this one."""


class CauseView(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs of one task that ended for the same reason."""

    task: str
    status: BadStatusName
    cause: str
    """The last line of their errors, with an ellipsis for ids, numbers and quoted values."""
    jobs: int
    first_at: datetime
    last_at: datetime
    last_job_id: str
    error: str | None
    """A text that all their errors have, for the filter `error` of a list of jobs."""


class CauseList(msgspec.Struct, frozen=True):
    """The causes, the most frequent first, 200 at most."""

    items: list[CauseView]
    looked_at: int
    """How many failed and aborted jobs, the newest."""
    is_whole: bool
    """There are no others in the history."""


class FailedJobs(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Which failed jobs: those of one task, or all of them."""

    task: str | None = None


class JobsRetried(msgspec.Struct, frozen=True):
    """How many jobs are queued again; where `is_more`, the same request retries further ones."""

    retried: int
    is_more: bool


class JobsCleared(msgspec.Struct, frozen=True):
    """How many jobs were removed; where `is_more`, the same request removes further ones."""

    cleared: int
    is_more: bool
