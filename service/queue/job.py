"""Between a row of `saq_jobs` and a `saq.Job`.

SAQ keeps a job as one JSON blob and rewrites it at every step. Here the blob is written once, by
enqueue; what changes while the job lives is in columns, and the end of the job is appended to the
blob, so that a stock SAQ client reads the result where it expects it.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import asyncpg
import msgspec
from saq import Job, Status
from saq.job import TERMINAL_STATUSES
from saq.utils import now

if TYPE_CHECKING:
    from saq.queue.base import Queue


ENDING_MAX_BYTES = 1024 * 1024  # a result, or an error's text


class MalformedJobError(Exception):
    """A row that no job can be read from; somebody else wrote it."""


class LeasedJob(Job):
    """A job that this process holds. `lease` proves it: the row has moved on where it differs."""

    lease: int = 0
    crashes: int = 0
    claimed_at: float = 0.0  # event-loop time
    is_shown = False  # its blob says that it runs
    is_handed_out = False  # by `dequeue`: not our own worker runs it
    is_swept = False  # its worker has been asked to give it up
    is_final = False  # it is not to be tried again
    misfit: str | None = None  # why this release cannot run it
    on_word: Callable[[], None] | None = None  # called when the job says that it lives

    @property
    def retryable(self) -> bool:
        return not self.is_final and super().retryable

    def say_alive(self) -> None:
        """The job has given a sign: its heartbeat begins anew."""
        if self.on_word:
            self.on_word()


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What becomes of a job this process holds."""

    job: LeasedJob
    status: Status
    error: str | None = None
    ending: bytes | None = None
    delay: float = 0.0  # seconds before a retry
    refund: int = 0  # attempts that did not count


class WrittenJob(msgspec.Struct, omit_defaults=True):
    """A blob as SAQ writes it, without what the columns say better; SAQ's own defaults."""

    function: str
    key: str
    queue: str
    kwargs: dict[str, Any] | None = None
    timeout: int | float | None = 10
    heartbeat: int | float | None = 0
    retries: int | float = 1
    ttl: int | float = 600
    retry_delay: float = 0.0
    retry_backoff: bool | float = False
    scheduled: int = 0
    queued: int = 0
    priority: int = 0
    group_key: str | None = None
    meta: dict[Any, Any] = {}


class WrittenRun(msgspec.Struct, omit_defaults=True):
    """What a run adds to it, for SAQ's clients."""

    status: str
    attempts: int = 0
    started: int = 0
    touched: int = 0
    progress: float = 0.0
    worker_id: str | None = None
    error: str | None = None


def dump(job: Job) -> bytes:
    """The blob of a job that has not ended and says nothing of a run."""
    return msgspec.json.encode(
        WrittenJob(
            function=job.function,
            key=job.key,
            queue=job.get_queue().name,
            kwargs=job.kwargs,
            timeout=job.timeout,
            heartbeat=job.heartbeat,
            retries=job.retries,
            ttl=job.ttl,
            retry_delay=job.retry_delay,
            retry_backoff=job.retry_backoff,
            scheduled=job.scheduled,
            queued=job.queued,
            priority=job.priority,
            group_key=job.group_key,
            meta=job.meta,
        )
    )


def dump_run(job: Job) -> str:
    """What a running job adds to its blob: the rest of a JSON object, as `dump_ending`."""
    run = WrittenRun(
        status=Status.ACTIVE.value,
        attempts=job.attempts,
        started=job.started,
        touched=job.touched or job.started,
        progress=job.progress,
        worker_id=job.worker_id,
    )
    return "," + msgspec.json.encode(run).decode()[1:]


def dump_running(job: Job) -> bytes:
    """The blob of a job that runs."""
    return dump(job)[:-1] + dump_run(job).encode()


def dump_retry(job: Job, error: str | None) -> bytes | None:
    """The blob of a job that waits for another attempt.

    None where it has no JSON form: the task has put something else into its meta.
    """
    run = WrittenRun(
        status=Status.QUEUED.value,
        attempts=job.attempts,
        touched=now(),
        worker_id=job.worker_id,
        error=error,
    )
    try:
        return dump(job)[:-1] + b"," + msgspec.json.encode(run)[1:]
    except (TypeError, ValueError, OverflowError, RecursionError):
        return None


def dump_ending(job: Job, status: Status, result: Any, error: str | None) -> bytes:
    """What an ended job adds to its blob: the rest of a JSON object, its closing brace included.

    Raises `TypeError` or `ValueError` where the result has no JSON form or is over 1 MiB.
    """
    ending: dict[str, Any] = {
        "status": status.value,
        "attempts": job.attempts,
        "started": job.started,
        "touched": max(job.touched, job.started),
        "completed": now(),
        "worker_id": job.worker_id,
    }
    if result is not None:
        ending["result"] = result
    if error is not None:
        ending["error"] = error
    if status is Status.COMPLETE:
        ending["progress"] = 1.0
    encoded = msgspec.json.encode(ending)
    if len(encoded) > ENDING_MAX_BYTES:
        raise ValueError(
            f"it has {len(encoded)} bytes, the limit is {ENDING_MAX_BYTES}; "
            "put large things into S3 and return their key"
        )
    return b"," + encoded[1:]


class StoredJob(msgspec.Struct):
    """What a blob may say, whoever wrote it; SAQ's own defaults for what it leaves out."""

    function: str
    queue: str | None = None
    kwargs: dict[str, Any] | None = None
    timeout: int | float | None = 10
    heartbeat: int | float | None = 0
    retries: int | float = 1
    ttl: int | float = 600
    retry_delay: float = 0.0
    retry_backoff: bool | float = False
    group_key: str | None = None
    meta: dict[str, Any] = {}
    queued: int = 0
    # only in a blob that a stock worker wrote, or of an ended job
    started: int = 0
    touched: int = 0
    completed: int = 0
    attempts: int = 0
    progress: float = 0.0
    worker_id: str | None = None
    error: str | None = None
    result: Any = None


_decoder = msgspec.json.Decoder(StoredJob)


def load(row: asyncpg.Record, queue: "Queue") -> LeasedJob:
    """The job of a row. Raises `MalformedJobError` where the blob is not one."""
    try:
        stored = _decoder.decode(row["job"])
        status = Status(row["status"])
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise MalformedJobError(f"{type(error).__name__}: {error}"[:500]) from None
    if stored.queue not in (None, queue.name):
        raise MalformedJobError("its blob names another queue")
    has_ended, is_waiting = status in TERMINAL_STATUSES, status is Status.QUEUED
    # A blob that says more of a run than the columns is of a stock worker.
    started_at = row["started_at"]
    started = int(started_at.timestamp() * 1000) if started_at else stored.started
    attempts = row["attempts"] or (0 if started_at else stored.attempts)
    progress = row["progress"] or (0.0 if started_at else stored.progress)
    job = LeasedJob(
        function=stored.function,
        kwargs=stored.kwargs,
        queue=queue,
        key=row["key"],
        # SAQ says int, takes any number, and None for no limit
        timeout=stored.timeout,  # type: ignore[arg-type]
        heartbeat=stored.heartbeat,  # type: ignore[arg-type]
        retries=stored.retries,  # type: ignore[arg-type]
        ttl=stored.ttl,  # type: ignore[arg-type]
        retry_delay=stored.retry_delay,
        retry_backoff=stored.retry_backoff,
        scheduled=row["scheduled"],
        progress=0.0 if is_waiting else progress,
        attempts=attempts,
        # an earlier end, before a retry by hand, is in the blob still
        completed=stored.completed if has_ended else 0,
        queued=stored.queued,
        started=0 if is_waiting else started,
        touched=max(started, stored.touched),
        result=stored.result if has_ended else None,
        error=row["error"] or (stored.error if has_ended else None),
        status=status,
        priority=row["priority"],
        group_key=stored.group_key,
        meta=stored.meta,
        worker_id=row["owner"] or stored.worker_id,
    )
    job.lease = row["lease"]
    job.crashes = row["crashes"]
    return job


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


# How long a job that a release does not know is left to the other one, while a deployment runs.
DEPLOY_SECONDS = 900
DEFER_SECONDS = 15.0


def may_be_of_another_release(job: Job) -> bool:
    """Is it due for so short a time that a worker may come which knows it?"""
    return time.time() - max(job.queued / 1000, job.scheduled) < DEPLOY_SECONDS


def stand_in(key: str, lease: int) -> LeasedJob:
    """A job of which only the row is known, to settle that row."""
    job = LeasedJob(function="?", key=key)
    job.lease = lease
    return job
