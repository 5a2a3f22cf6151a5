"""Between a row of `saq_jobs` and a `saq.Job`.

SAQ keeps a job as one JSON blob and rewrites it at every step. Here the blob is written once, by
enqueue; what changes while the job lives is in columns, and the end of the job is appended to the
blob, so that a stock SAQ client reads the result where it expects it.
"""

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


@dataclass(frozen=True, kw_only=True)
class Settlement:
    """What becomes of a job this process holds."""

    job: LeasedJob
    status: Status
    error: str | None = None
    ending: bytes | None = None
    delay: float = 0.0  # seconds before a retry
    refund: int = 0  # attempts that did not count


def dump(job: Job) -> bytes:
    """The blob as SAQ writes it, without what the columns say better."""
    fields = job.to_dict()
    for column in ("status", "attempts", "started", "touched", "worker_id", "progress", "error"):
        fields.pop(column, None)
    return msgspec.json.encode(fields)


def dump_ending(job: Job, status: Status, result: Any, error: str | None) -> bytes:
    """What an ended job adds to its blob: the rest of a JSON object, its closing brace included.

    Raises `TypeError` or `ValueError` where the result has no JSON form or is over 1 MiB.
    """
    ending: dict[str, Any] = {
        "status": status.value,
        "attempts": job.attempts,
        "started": job.started,
        "touched": job.started,
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


def load(row: asyncpg.Record, queue: "Queue") -> LeasedJob:
    """The job of a row. Raises `MalformedJobError` where the blob is not one."""
    try:
        fields = msgspec.json.decode(row["job"])
        if fields.pop("queue", queue.name) != queue.name:
            raise MalformedJobError("its blob names another queue")
        status = Status(row["status"])
        if status not in TERMINAL_STATUSES:
            for ending in ("result", "error", "completed"):
                fields.pop(ending, None)  # of an earlier end, before a retry by hand
        fields |= {
            "key": row["key"],
            "status": status,
            "attempts": row["attempts"] or fields.get("attempts", 0),
            "priority": row["priority"],
            "scheduled": row["scheduled"],
        }
        if row["owner"]:
            fields["worker_id"] = row["owner"]
        if row["started_at"]:
            fields["started"] = fields["touched"] = int(row["started_at"].timestamp() * 1000)
        if row["progress"]:
            fields["progress"] = row["progress"]
        if row["error"]:
            fields["error"] = row["error"]
        job = LeasedJob(**fields, queue=queue)
        if not isinstance(job.function, str) or not isinstance(job.kwargs or {}, dict):
            raise MalformedJobError("its function or kwargs are of the wrong type")
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise MalformedJobError(f"{type(error).__name__}: {error}"[:500]) from None
    job.lease = row["lease"]
    job.crashes = row["crashes"]
    return job
