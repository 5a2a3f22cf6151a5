"""A job from the API, for a table and in full."""

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from scripts.terminal.render import Shown, indent, join

NAME_WIDTH = 14


@dataclass(frozen=True)
class Job:
    """One job; the times are UTC."""

    job_id: str
    task: str
    status: str
    attempts: int
    created_at: datetime
    scheduled_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    error: str | None

    @property
    def seconds(self) -> float | None:
        """How long its last attempt took."""
        if self.started_at is None or self.finished_at is None:
            return None
        return (self.finished_at - self.started_at).total_seconds()


def read_job(item: dict[str, Any]) -> Job:
    """A job from an item of `GET /api/v1/jobs`."""
    values: dict[str, Any] = {
        field.name: _time(item[field.name]) if field.name.endswith("_at") else item[field.name]
        for field in fields(Job)
    }
    return Job(**values)


def describe(found: dict[str, Any], *, error_field: str = "error") -> Shown:
    """An answer of the API as text: a line for each field that has a value, the error last."""
    values = {name: value for name, value in found.items() if value is not None}
    error = values.pop(error_field, None)
    if "waiting_for" in values:
        values["waiting_for"] = values["waiting_for"]["message"]
    made, children = values.pop("attempts_made", []), values.pop("children", [])
    if not values.pop("has_more_children", False):
        more: list[str] = []
    else:
        more = ["… and more"]
    for name in ("payload", "result"):
        if name in values:
            values[name] = json.dumps(values[name], ensure_ascii=False)
    lines = [f"{name:<{NAME_WIDTH}}{value}" for name, value in values.items()]
    names = ["attempts_made", *[""] * len(made)]
    lines += [
        f"{name:<{NAME_WIDTH}}{_attempt(each)}" for name, each in zip(names, made, strict=False)
    ]
    told = [f"{each['job_id']} {each['task']} {each['status']}" for each in children] + more
    names = ["children", *[""] * len(told)]
    lines += [f"{name:<{NAME_WIDTH}}{each}" for name, each in zip(names, told, strict=False)]
    return join("\n", lines if error is None else [*lines, error_field, indent(error, 2)])


def _attempt(made: dict[str, Any]) -> str:
    """One attempt in a line."""
    started, ended = _time(made["started_at"]), _time(made["ended_at"])
    words = [str(made["attempt"]), made["outcome"]]
    if started:
        words.append(f"{started:%Y-%m-%d %H:%M:%S}")
    if started and ended:
        words.append(f"took {(ended - started).total_seconds():.1f} s")
    if made["worker_id"]:
        words.append(f"on {made['worker_id']}")
    return " ".join(words) + (f": {last_line(made['error'])}" if made["error"] else "")


def last_line(error: str | None) -> str:
    """The last line of a traceback, which names the exception."""
    return (error or "").strip().rpartition("\n")[2]


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).astimezone(UTC)
