"""A job as SAQ's clients read it: one JSON object, the blob of `saq_jobs`.

SAQ rewrites the blob at every step. Here it is written once, by enqueue; what changes while the
job lives is in columns, and the end of the job is appended to the blob, so that a stock SAQ client
reads the result where it expects it.
"""

from typing import Any

import asyncpg
import msgspec
from saq import Job, Status
from saq.job import TERMINAL_STATUSES
from saq.queue.base import Queue
from saq.utils import now

from service.queue.job import LeasedJob, MalformedJobError

STATUSES = {status.value: status for status in Status}
ENDING_MAX_BYTES = 1024 * 1024  # a result, or an error's text


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
    """What a run adds to the blob, for SAQ's clients."""

    status: str
    attempts: int = 0
    started: int = 0
    touched: int = 0
    progress: float = 0.0
    worker_id: str | None = None
    error: str | None = None


class WrittenEnding(WrittenRun, omit_defaults=True):
    """What the end of a run adds to it."""

    completed: int = 0
    result: Any = None


def dump(job: Job) -> bytes:
    """The blob of a job that has not started."""
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
    """What is appended to the blob of a running job: the rest of a JSON object."""
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
    """The whole blob of a running job."""
    return dump(job)[:-1] + dump_run(job).encode()


def dump_retry(job: Job, error: str | None) -> bytes | None:
    """The whole blob of a job that waits for another attempt.

    None where it has no JSON form, because the task has put something else into its meta.
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
    """What is appended to the blob of an ended job: the rest of a JSON object, with its brace.

    Raises `TypeError` or `ValueError` where the result has no JSON form or is over 1 MiB.
    """
    encoded = msgspec.json.encode(
        WrittenEnding(
            status=status.value,
            attempts=job.attempts,
            started=job.started,
            touched=max(job.touched, job.started),
            completed=now(),
            worker_id=job.worker_id,
            result=result,
            error=error,
            progress=1.0 if status is Status.COMPLETE else 0.0,
        )
    )
    if len(encoded) > ENDING_MAX_BYTES:
        raise ValueError(
            f"it has {len(encoded)} bytes, the limit is {ENDING_MAX_BYTES}; "
            "put large things into S3 and return their key"
        )
    return b"," + encoded[1:]


class StoredJob(msgspec.Struct):
    """The fields of a blob that we read, whoever wrote it. The defaults are SAQ's."""

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


def load(row: asyncpg.Record, queue: Queue) -> LeasedJob:
    """The job of a row. Raises `MalformedJobError` where the blob is not one."""
    try:
        stored = _decoder.decode(row["job"])
        status = STATUSES[row["status"]]
    except (msgspec.MsgspecError, RecursionError, ValueError, KeyError) as error:
        raise MalformedJobError(f"{type(error).__name__}: {error}"[:500]) from None
    if stored.queue not in (None, queue.name):
        raise MalformedJobError("its blob names another queue")
    has_ended, is_waiting = status in TERMINAL_STATUSES, status is Status.QUEUED
    # A stock worker writes its run into the blob and leaves our columns empty.
    started_at = row["started_at"]
    started = int(started_at.timestamp() * 1000) if started_at else stored.started
    attempts = row["attempts"] or (0 if started_at else stored.attempts)
    progress = row["progress"] or (0.0 if started_at else stored.progress)
    return LeasedJob.stored(
        function=stored.function,
        kwargs=stored.kwargs,
        queue=queue,
        key=row["key"],
        # SAQ says int, takes any number, and None for no limit
        timeout=stored.timeout,
        heartbeat=stored.heartbeat,
        retries=stored.retries,
        ttl=stored.ttl,
        retry_delay=stored.retry_delay,
        retry_backoff=stored.retry_backoff,
        scheduled=row["scheduled"],
        progress=0.0 if is_waiting else progress,
        attempts=attempts,
        # the blob may still hold the end of a run before a retry by hand
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
        lease=row["lease"],
        claim=row["claim"] or 0,
        crashes=row["crashes"],
    )
