"""Why a job waits, in words that say what to do."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.queue.errors import UnknownTaskError
from service.queue.job import DEPLOY_SECONDS, JobRecord

JOBS_BEFORE_MAX = 1000  # counting further would cost more than the figure is worth

Code = Literal[
    "unknown_task", "not_due", "paused", "group_running", "no_worker", "group_before", "next",
    "busy",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Why a job waits."""

    code: Code
    message: str  # a sentence, and what to do
    job_id: str | None = None  # the key of the job that it waits for


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What a backend knows of the queue in which a job waits."""

    now: datetime
    is_paused: bool
    paused_at: datetime | None = None
    workers: int  # live ones that serve the queue
    is_worker_free: bool = (
        False  # it asked for more jobs than there were; its slots may be full now
    )
    jobs_before: int | None = None  # that are fetched before it; None: not known
    jobs_waiting: int = 0  # due jobs of the queue, where `jobs_before` is not known
    group_running: str | None = None  # the key of another job of its group, which runs
    group_before: str | None = None  # the key of the next job of its group, if it is not this one


def why(job: JobRecord, found: Surroundings) -> Waiting:
    """The first reason for which the waiting job is not running."""
    return next(_reasons(job, found))


def _reasons(job: JobRecord, found: Surroundings) -> Iterator[Waiting]:
    queue = job.queue
    if job.error == str(UnknownTaskError(job.task)):
        yield Waiting(
            code="unknown_task",
            message=f"The workers that have fetched it do not know its task {job.task}. Deploy the "
            f"release that has it; {DEPLOY_SECONDS // 60} minutes after it was due the job fails.",
        )
    if job.scheduled_at > found.now:
        what = f"Attempt {job.attempts + 1}" if job.attempts else "It"
        yield Waiting(
            code="not_due",
            message=f"{what} is due at {_time(job.scheduled_at)}. To run it sooner, cancel it and "
            "enqueue it again.",
        )
    if found.is_paused:
        since = f" since {_time(found.paused_at)}" if found.paused_at else ""
        yield Waiting(
            code="paused",
            message=f"The queue {queue} is paused{since}. `moor queues resume {queue}` goes on.",
        )
    if (other := found.group_running) is not None:
        yield Waiting(
            code="group_running",
            message=f"The job {other} of its group runs, and of a group one runs at a time. "
            f"`moor jobs show {other}` shows since when.",
            job_id=other,
        )
    if not found.workers:
        yield Waiting(
            code="no_worker",
            message=f"No live worker serves the queue {queue}. `moor status` shows the workers, "
            "`moor scale` starts more.",
        )
    if (other := found.group_before) is not None:
        yield Waiting(
            code="group_before",
            message=f"The job {other} of its group is before it, and of a group one runs at a "
            f"time. `moor jobs show {other}` says why that one waits.",
            job_id=other,
        )
    if found.is_worker_free:
        yield Waiting(
            code="next",
            message=f"A worker waits for jobs of {queue}, and fetches it as soon as it has a free "
            f"slot; {_others(found)}.",
        )
    yield Waiting(
        code="busy",
        message=f"Every slot of the workers is busy, and {_others(found)}. More workers "
        "(`moor scale`) or a lower `priority` number run it sooner.",
    )


def _others(found: Surroundings) -> str:
    if found.jobs_before is None:
        others = max(found.jobs_waiting - 1, 0)
        return f"{others:,} other jobs of its queue wait"
    if found.jobs_before > JOBS_BEFORE_MAX:
        return f"{JOBS_BEFORE_MAX:,}+ jobs of its queue are before it"
    if found.jobs_before == 1:
        return "one job of its queue is before it"
    return f"{found.jobs_before or 'no'} jobs of its queue are before it"


def _time(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"
