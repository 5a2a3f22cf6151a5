"""One job for its page: the line of its time, and its values as text."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import msgspec

from service.console.frames import Part, parts
from service.console.overview import reason
from service.queue.attempts import Attempt
from service.queue.job import JobRecord
from service.queue.tasks.task import Task
from service.redact import redacted

TEXT_MAX_CHARACTERS = 64 * 1024


@dataclass(frozen=True)
class Moment:
    """A step of a job's life, and how many seconds passed until the next one."""

    what: str
    at: datetime
    then: str  # what it did until then
    worker: str | None = None
    error: str = ""  # the last line of it
    trace: tuple[Part, ...] = ()  # the whole, of an earlier attempt
    seconds: float | None = None


def moments(job: JobRecord, attempts: Sequence[Attempt]) -> list[Moment]:
    """What is known of the job's life, in order: enqueued, due, each attempt, ended."""
    steps = [Moment("enqueued", job.created_at, "waited")]
    if (job.scheduled_at - job.created_at).total_seconds() >= 1:
        steps.append(Moment("due", job.scheduled_at, "waited"))
    for each in attempts:
        steps += _moments_of(each, is_last=each is attempts[-1])
    if job.finished_at is not None and job.finished_at not in {each.at for each in steps}:
        steps.append(Moment(job.status, job.finished_at, ""))
    steps.sort(key=lambda step: step.at)
    ends = [step.at for step in steps[1:]]
    return [
        replace(step, seconds=(end - step.at).total_seconds()) if end else step
        for step, end in zip(steps, [*ends, None], strict=True)
    ]


def _moments_of(attempt: Attempt, *, is_last: bool) -> Iterator[Moment]:
    if attempt.started_at is not None:
        what = f"attempt {attempt.attempt} started"
        yield Moment(what, attempt.started_at, "ran", worker=attempt.worker_id)
    if attempt.ended_at is not None:
        what = {"crashed": "its worker died"}.get(attempt.outcome, attempt.outcome)
        error = redacted(attempt.error or "")
        # the job's own error stands below, whole
        trace = () if is_last or "\n" not in error else tuple(parts(error))
        yield Moment(
            what, attempt.ended_at, "waited", error=reason(error) if error else "", trace=trace
        )


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
