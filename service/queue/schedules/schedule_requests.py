"""Recurring jobs: declared in code or created through the API, wherever the queue keeps them."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from service.contract import PAYLOAD_MAX_BYTES
from service.queue.cron import Timing, TimingError
from service.queue.errors import (
    InvalidOptionError,
    PayloadTooLargeError,
    ScheduleExistsError,
    ScheduleIsDeclaredError,
    ScheduleNotFoundError,
)
from service.queue.interface import JobQueue
from service.queue.schedule_record import SCHEDULES_MAX, NewSchedule, ScheduleRecord
from service.queue.tasks.enqueue import LARGE_PAYLOAD, build_job

__all__ = ["ScheduleRecord", "ScheduleRequest"]


class ScheduleRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A recurring job to create."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
    """Letters, digits, dots, dashes and underscores; unique in the queue."""
    task: str
    cron: str | None = None
    """Five fields: minute hour day-of-month month day-of-week."""
    every: str | None = None
    """Instead of `cron`: `30 minutes`, `6 hours`, `1 day`."""
    tz: str = "UTC"
    """The zone a cron line is read in, such as `Europe/Berlin`."""
    payload: dict[str, Any] = {}
    unique: bool = False
    """Leave a tick out while the job of the one before waits or runs."""
    enabled: bool = True


async def list_schedules(queue: JobQueue) -> list[ScheduleRecord]:
    """All of the queue, by name."""
    return await queue.schedule_store.read()


async def find_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """The one of that name. Raises `ScheduleNotFoundError`."""
    for found in await queue.schedule_store.read(name):
        return found
    raise ScheduleNotFoundError(name)


async def create_schedule(queue: JobQueue, request: ScheduleRequest) -> ScheduleRecord:
    """Keep a new recurring job; its first tick is the next that comes.

    Raises `InvalidOptionError` for a wrong time, what `build_job` raises for a wrong task or
    payload, and `ScheduleExistsError`.
    """
    timing = _timing(request)
    job = build_job(queue.registry, request.task, request.payload)
    if LARGE_PAYLOAD in job.meta:
        raise PayloadTooLargeError(
            job.function, "payload", f"a schedule's has {PAYLOAD_MAX_BYTES} bytes at the most"
        )
    now = await queue.scheduler.database_now()
    is_made = await queue.schedule_store.create(
        NewSchedule(
            name=request.name,
            task=job.function,
            timing=timing,
            payload=job.kwargs or {},
            is_unique=request.unique,
            is_enabled=request.enabled,
            next_at=timing.next_after(now),
        )
    )
    if not is_made:
        if not await queue.schedule_store.read(request.name):
            raise InvalidOptionError(
                "name", f"there are {SCHEDULES_MAX} schedules, the most allowed"
            )
        raise ScheduleExistsError(request.name)
    await queue.scheduler.announce_change()
    return await find_schedule(queue, request.name)


async def enable_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """Let it come again, from its next tick on. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    timing = Timing.parse(cron=found.cron, every=found.every, tz=found.tz)
    now = await queue.scheduler.database_now()
    await queue.schedule_store.enable(name, timing.next_after(now))
    await queue.scheduler.announce_change()
    return await find_schedule(queue, name)


async def disable_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """Let it come no more; a deployment does not change that. Raises `ScheduleNotFoundError`."""
    if not await queue.schedule_store.disable(name):
        raise ScheduleNotFoundError(name)
    return await find_schedule(queue, name)


async def delete_schedule(queue: JobQueue, name: str) -> None:
    """Forget it. Raises `ScheduleNotFoundError`, and `ScheduleIsDeclaredError` for the code's."""
    if not await queue.schedule_store.delete(name):
        await find_schedule(queue, name)
        raise ScheduleIsDeclaredError(name)


async def run_schedule_now(queue: JobQueue, name: str) -> str:
    """Enqueue one job of it beside its ticks; the job's key. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    job = build_job(queue.registry, found.task, found.payload)
    await queue.enqueue(job)
    return job.key


def _timing(request: ScheduleRequest) -> Timing:
    try:
        return Timing.parse(cron=request.cron, every=request.every, tz=request.tz)
    except TimingError as error:
        raise InvalidOptionError(error.field, error.problem) from None
