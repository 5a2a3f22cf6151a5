"""How each queue stands, as the API answers it."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Queue:
    """`queued` is the backlog, `scheduled` waits for its time; a job's age is in seconds."""

    name: str
    queued: int
    scheduled: int
    active: int
    failed: int
    workers: int
    oldest_due_seconds: float


def read_queues(answer: dict[str, Any]) -> list[Queue]:
    """Out of `GET /api/v1/queues`."""
    return [Queue(**item) for item in answer["items"]]
