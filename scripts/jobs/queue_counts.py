"""The numbers of each queue, from the API."""

from dataclasses import dataclass
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


def read_queues(answer: dict[str, Any]) -> list[Queue]:
    """The queues from `GET /api/v1/queues`."""
    return [Queue(**item) for item in answer["items"]]
