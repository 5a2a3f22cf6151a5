"""A schedule as a queue keeps it, and what is asked of whoever keeps and enqueues it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.queue.cron import Timing

SCHEDULES_MAX = 1000  # of one queue


@dataclass(frozen=True, kw_only=True)
class ScheduleRecord:
    """One recurring job as it stands; times by the database's clock."""

    name: str
    task: str
    cron: str | None
    every: str | None
    tz: str
    payload: dict[str, Any]
    is_unique: bool
    is_declared: bool  # in the code; else created through the API
    is_enabled: bool
    next_run_at: datetime | None  # None while disabled
    last_run_at: datetime | None  # when the last tick was due
    last_key: str | None  # the job of that tick
    last_status: str | None
    last_error: str | None  # of that job, or why there was none


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """A recurring job to keep; `next_at` in epoch seconds."""

    name: str
    task: str
    timing: Timing
    payload: dict[str, Any]
    is_unique: bool
    is_enabled: bool
    next_at: int


class ScheduleStore(Protocol):
    """The recurring jobs of one queue."""

    async def read(self, name: str | None = None) -> list[ScheduleRecord]:
        """All by name, or the one of that name."""

    async def create(self, new: NewSchedule) -> bool:
        """Keep it; False where its name is taken, or there are too many."""

    async def enable(self, name: str, next_at: int) -> None:
        """Let it come again, at `next_at` first where it was disabled."""

    async def disable(self, name: str) -> bool:
        """Let it come no more; False where there is none."""

    async def delete(self, name: str) -> bool:
        """Forget it; False where there is none that the code does not declare."""


class Scheduler(Protocol):
    """Puts the due ticks of the schedules into the queue."""

    async def wait_and_tick(self) -> list[str]:
        """Wait until something may be due, and enqueue it; the keys."""

    async def announce_change(self) -> None:
        """A schedule has changed: have every worker look."""

    async def database_now(self) -> float:
        """Epoch seconds by the clock that decides what is due."""
