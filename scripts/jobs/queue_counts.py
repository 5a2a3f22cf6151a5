"""The numbers of each queue, from the API."""

from dataclasses import dataclass, fields
from typing import Any


@dataclass(frozen=True)
class Queue:
    """One queue: `queued` is the backlog, `scheduled` jobs wait for their time."""

    name: str
    queued: int
    scheduled: int
    active: int
    failed: int
    workers: int
    oldest_due_seconds: float
    paused: bool = False  # an API of an earlier release does not say it


def read_queue(item: dict[str, Any]) -> Queue:
    """A queue from an item of `GET /api/v1/queues`."""
    known = {field.name for field in fields(Queue)}
    return Queue(**{name: value for name, value in item.items() if name in known})


def read_queues(answer: dict[str, Any]) -> list[Queue]:
    """The queues from `GET /api/v1/queues`."""
    return [read_queue(item) for item in answer["items"]]
