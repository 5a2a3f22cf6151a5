"""A schedule as a queue keeps it, and the interfaces of its store and its scheduler."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.queue.cron import Timing

SCHEDULES_MAX = 1000  # of one queue


@dataclass(frozen=True, kw_only=True)
class ScheduleRecord:
    """One schedule with its last and next tick; times by the database's clock."""

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
    last_error: str | None  # of that job, or why the tick made no job


@dataclass(frozen=True, kw_only=True)
class NewSchedule:
    """A schedule to create; `next_at` in epoch seconds."""

    name: str
    task: str
    timing: Timing
    payload: dict[str, Any]
    is_unique: bool
    is_enabled: bool
    next_at: int


class ScheduleStore(Protocol):
    """The schedules of one queue."""

    async def read(self, name: str | None = None) -> list[ScheduleRecord]:
        """All of them in the order of their names, or the one with that name."""

    async def create(self, new: NewSchedule) -> bool:
        """Store it. False where its name is taken, or the queue has `SCHEDULES_MAX`."""

    async def enable(self, name: str, next_at: int) -> None:
        """Let it tick again. Where it was disabled, its next tick is at `next_at`."""

    async def disable(self, name: str) -> bool:
        """Stop its ticks. False where no schedule has that name."""

    async def delete(self, name: str) -> bool:
        """Delete it. False where no schedule has that name, or the code declares it."""


class Scheduler(Protocol):
    """Puts the due ticks of the schedules into the queue."""

    async def wait_and_tick(self) -> list[str]:
        """Wait until a tick may be due, and enqueue what is due. Returns the keys of the jobs."""

    async def announce_change(self) -> None:
        """Notify every worker that a schedule has changed."""

    async def database_now(self) -> float:
        """Epoch seconds by the clock that decides what is due."""
