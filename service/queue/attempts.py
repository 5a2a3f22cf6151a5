"""The attempts of a job, one by one."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from service.queue.job import DIED, JobRecord

KEPT_MAX = 20  # earlier attempts of a job, the newest; 0024_keep_attempts.sql keeps as many
Outcome = Literal["running", "complete", "failed", "crashed", "handed back", "aborted"]


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """One attempt: where it ran, and how it ended."""

    attempt: int  # counts from 1, and again from 1 once somebody has the ended job run again
    worker_id: str | None
    started_at: datetime | None  # None: the job was aborted before it began
    ended_at: datetime | None  # None: it runs
    outcome: Outcome
    error: str | None


def with_last(earlier: Sequence[Attempt], job: JobRecord) -> list[Attempt]:
    """The earlier attempts, and the last one, of which the job's record says."""
    if job.started_at is None or job.status == "queued":
        return [*earlier]
    outcome: Outcome
    number = job.attempts
    if job.status in ("active", "aborting"):
        outcome = "running"
    elif job.status == "aborted":
        outcome = "aborted"
        if any(each.started_at == job.started_at for each in earlier):
            return [*earlier]  # it waited again
    elif job.status == "failed" and (job.error or "").startswith(DIED):
        outcome, number = "crashed", number + 1  # a crash costs no attempt
    else:
        outcome = "failed" if job.status == "failed" else "complete"
    last = Attempt(
        attempt=max(number, 1),
        worker_id=job.worker_id,
        started_at=job.started_at,
        ended_at=job.finished_at,
        outcome=outcome,
        error=job.error if job.status in ("failed", "aborted") else None,
    )
    return [*earlier, last]
