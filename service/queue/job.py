"""A job: as a process holds it, and as its history has it."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from saq import Job

STATUSES = ("queued", "active", "aborting", "complete", "failed", "aborted")  # SAQ's words
BAD = ("failed", "aborted")
CRASHES_MAX = 3  # workers a job may kill before it is failed for good
KEEP_FAILED_SECONDS = 14 * 24 * 3600  # failed and aborted jobs stay at least this long
# How long a job that a release does not know is left to the other one, while a deployment runs.
DEPLOY_SECONDS = 900
DEFER_SECONDS = 15.0


class MalformedJobError(Exception):
    """A row that no job can be read from; somebody else wrote it."""


class LeasedJob(Job):
    """A job that this process holds. `lease` proves it: the row has moved on where it differs."""

    lease: int = 0
    crashes: int = 0
    claimed_at: float = 0.0  # event-loop time
    is_published = False  # its blob says that it runs
    is_dequeued = False  # by `dequeue`: not our own worker runs it
    is_swept = False  # its worker has been asked to give it up
    is_final = False  # it is not to be tried again
    unrunnable: str | None = None  # why this release cannot run it
    on_beat: Callable[[], None] | None = None  # called when the job says that it lives

    @property
    def retryable(self) -> bool:
        return not self.is_final and super().retryable

    def beat(self) -> None:
        """The job has given a sign: its heartbeat begins anew."""
        if self.on_beat:
            self.on_beat()


@dataclass(frozen=True, kw_only=True)
class JobRecord:
    """One job from queued to ended, as its history has it; kept after its payload is gone."""

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


def retry_delay(job: Job) -> float:
    """Seconds before the next attempt: doubling with each, less up to half of it by chance.

    SAQ's own may be any part of it, none included: what failed at once would be tried at once.
    """
    delay = job.retry_delay
    if job.retry_backoff is not False:
        delay *= 2.0 ** min(max(job.attempts - 1, 0), 30)
        if job.retry_backoff is not True:
            delay = min(delay, job.retry_backoff)
        delay *= random.uniform(0.5, 1.0)  # noqa: S311 - jitter
    return delay


def may_be_of_another_release(job: Job) -> bool:
    """Is it due for so short a time that a worker may come which knows it?"""
    return time.time() - max(job.queued / 1000, job.scheduled) < DEPLOY_SECONDS


def unread_job(key: str, lease: int) -> LeasedJob:
    """A job of which only key and lease are known, to write what becomes of it."""
    job = LeasedJob(function="?", key=key)
    job.lease = lease
    return job
