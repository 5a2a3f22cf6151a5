"""A job as a process holds it, and as its history records it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from saq import Job

from service.redact import redacted

STATUSES = ("queued", "active", "aborting", "complete", "failed", "aborted")  # SAQ's words
BAD = ("failed", "aborted")
DIED = "its worker died"  # the beginning of the error of a job whose worker did
CRASHES_MAX = 3  # a job that has killed so many workers is a dead letter
KEEP_FAILED_SECONDS = 14 * 24 * 3600  # failed and aborted jobs are kept at least this long
# While a deployment runs, a job may be of a release that this worker does not know. It is deferred,
# again and again, until it has been due for DEPLOY_SECONDS.
DEPLOY_SECONDS = 900
DEFER_SECONDS = 15.0


class MalformedJobError(Exception):
    """The row holds no readable job: another program has written it."""


class LeasedJob(Job):
    """A job that this process holds, as long as its row has the same `lease`."""

    lease: int = 0
    claim: int = 0  # the number of the claim that has started it
    crashes: int = 0
    claimed_at: float = 0.0  # event-loop time
    is_published = False  # its blob says that it runs
    is_dequeued = False  # `dequeue` returned it: SAQ's own worker runs it, or a proxy
    is_swept = False  # SAQ's worker has been asked to stop it
    is_final = False  # NoRetryError was raised: no more attempts
    unrunnable: str | None = None  # why this release cannot run it
    on_beat: Callable[[], None] | None = None  # called at each heartbeat of the job

    @classmethod
    def stored(cls, **fields: Any) -> "LeasedJob":
        """A job with all of SAQ's fields, as they are stored: a quarter of the time of `Job(…)`."""
        job = cls.__new__(cls)
        job.__dict__ = fields
        return job

    @property
    def retryable(self) -> bool:
        return not self.is_final and super().retryable

    def beat(self) -> None:
        """Restart the time in which the job has to report again."""
        if self.on_beat:
            self.on_beat()


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job in the history, which stays after its row and payload are deleted."""

    id: int  # grows with time; the cursor of a listing
    key: str
    queue: str
    task: str
    status: str
    attempts: int
    crashes: int  # workers that died while running it
    error: str | None  # of the last attempt that failed
    worker_id: str | None
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime | None  # of the last attempt
    finished_at: datetime | None


def shown_fields(job: Job) -> dict[str, Any]:
    """SAQ's fields of a job, as they are shown: without passwords, tokens and keys."""
    fields: dict[str, Any] = job.to_dict()
    return fields | {
        name: redacted(fields[name])
        for name in ("kwargs", "result", "error", "meta")
        if name in fields
    }


def page_row(job: Job) -> dict[str, Any]:
    """What SAQ's web page lists of a job. The payload is text, because the page would build HTML
    elements from an object's keys."""
    fields = shown_fields(job)
    return fields | {"kwargs": repr(fields.get("kwargs") or {})}


def retry_delay(job: Job) -> float:
    """Seconds before the next attempt. They double with each attempt; jitter takes off up to half.

    SAQ's own jitter may take off all of it, so that a job would be retried at once.
    """
    delay = job.retry_delay
    if job.retry_backoff is not False:
        delay *= 2.0 ** min(max(job.attempts - 1, 0), 30)
        if job.retry_backoff is not True:
            delay = min(delay, job.retry_backoff)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
    return delay


def may_be_of_another_release(job: Job) -> bool:
    """Has it been due so briefly that a worker of the other release may still claim it?"""
    return time.time() - max(job.queued / 1000, job.scheduled) < DEPLOY_SECONDS


def unread_job(key: str, lease: int) -> LeasedJob:
    """A job of which only key and lease are known: enough to write its outcome."""
    job = LeasedJob(function="?", key=key)
    job.lease = lease
    return job
