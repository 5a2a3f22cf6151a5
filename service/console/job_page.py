"""One job for its page: the line of its time, and its values as text."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec

from service.queue.job import JobRecord
from service.queue.tasks.task import Task

TEXT_MAX_CHARACTERS = 64 * 1024


@dataclass(frozen=True)
class Moment:
    """A step of a job's life, and how many seconds passed until the next one."""

    what: str
    at: datetime
    seconds: float | None
    then: str = ""


def moments(job: JobRecord) -> list[Moment]:
    """What is known of the job's life, in order: enqueued, due, started, ended."""
    steps = [("enqueued", job.created_at)]
    if job.scheduled_at > job.created_at and (job.scheduled_at - job.created_at).seconds >= 1:
        steps.append(("due", job.scheduled_at))
    if job.started_at is not None:
        steps.append((f"attempt {job.attempts} started", job.started_at))
    if job.finished_at is not None:
        steps.append((job.status, job.finished_at))
    steps.sort(key=lambda step: step[1])
    ends = [at for _, at in steps[1:]]
    return [
        Moment(what, at, (end - at).total_seconds() if end else None, _between(what))
        for (what, at), end in zip(steps, [*ends, None], strict=True)
    ]


def _between(what: str) -> str:
    return {"enqueued": "waited", "due": "waited"}.get(what, "ran")


def pretty(value: Any) -> str:
    """JSON as people read it, cut where it is very long."""
    text = json.dumps(value, indent=2, ensure_ascii=False, default=str)
    cut = len(text) > TEXT_MAX_CHARACTERS
    return text[:TEXT_MAX_CHARACTERS] + ("\n… (cut)" if cut else "")


def example(task: Task) -> str:
    """A payload to begin with: each field that has no default, with an empty value of its type."""
    fields = {
        field.encode_name: _empty(field.type)
        for field in msgspec.structs.fields(task.payload_type)
        if field.required
    }
    return pretty(fields)


def _empty(kind: Any) -> Any:
    empty = {str: "", int: 0, float: 0.0, bool: False}
    return empty.get(kind, [] if getattr(kind, "__origin__", kind) is list else None)
