"""Requests on schedules: list, create, enable, disable, delete and run one, on any backend."""

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
    """A schedule to create."""

    name: Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]
    """Letters, digits, dots, dashes and underscores; unique in the queue."""
    task: str
    cron: str | None = None
    """Five fields: minute hour day-of-month month day-of-week."""
    every: str | None = None
    """Instead of `cron`: `30 minutes`, `6 hours`, `1 day`."""
    tz: str = "UTC"
    """The time zone of the cron line, such as `Europe/Berlin`."""
    payload: dict[str, Any] = {}
    unique: bool = False
    """Skip a tick while the job of the tick before waits or runs."""
    enabled: bool = True


async def list_schedules(queue: JobQueue) -> list[ScheduleRecord]:
    """All schedules of the queue, in the order of their names."""
    return await queue.schedule_store.read()


async def find_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """The schedule with that name. Raises `ScheduleNotFoundError`."""
    for found in await queue.schedule_store.read(name):
        return found
    raise ScheduleNotFoundError(name)


async def create_schedule(queue: JobQueue, request: ScheduleRequest) -> ScheduleRecord:
    """Store a new schedule. Returns it; its first tick is the next one from now.

    Raises `ScheduleExistsError`, `InvalidOptionError` for a wrong cron line, interval or zone, and
    what `build_job` raises for a wrong task or payload.
    """
    timing = _timing(request)
    job = build_job(queue.registry, request.task, request.payload)
    if LARGE_PAYLOAD in job.meta:
        raise PayloadTooLargeError(
            job.function, "payload", f"the limit for a schedule is {PAYLOAD_MAX_BYTES} bytes"
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
                "name", f"the queue has {SCHEDULES_MAX} schedules, which is the limit"
            )
        raise ScheduleExistsError(request.name)
    await queue.scheduler.announce_change()
    return await find_schedule(queue, request.name)


async def enable_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """Enable a schedule; ticks missed meanwhile are not made up. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    timing = Timing.parse(cron=found.cron, every=found.every, tz=found.tz)
    now = await queue.scheduler.database_now()
    await queue.schedule_store.enable(name, timing.next_after(now))
    await queue.scheduler.announce_change()
    return await find_schedule(queue, name)


async def disable_schedule(queue: JobQueue, name: str) -> ScheduleRecord:
    """Stop a schedule's ticks, also after a deployment. Raises `ScheduleNotFoundError`."""
    if not await queue.schedule_store.disable(name):
        raise ScheduleNotFoundError(name)
    return await find_schedule(queue, name)


async def delete_schedule(queue: JobQueue, name: str) -> None:
    """Delete a schedule that the API created.

    Raises `ScheduleNotFoundError`, and `ScheduleIsDeclaredError` for one that the code declares.
    """
    if not await queue.schedule_store.delete(name):
        await find_schedule(queue, name)
        raise ScheduleIsDeclaredError(name)


async def run_schedule_now(queue: JobQueue, name: str) -> str:
    """Enqueue one job of a schedule now. Returns its key. Raises `ScheduleNotFoundError`."""
    found = await find_schedule(queue, name)
    job = build_job(queue.registry, found.task, found.payload)
    await queue.enqueue(job)
    return job.key


def _timing(request: ScheduleRequest) -> Timing:
    try:
        return Timing.parse(cron=request.cron, every=request.every, tz=request.tz)
    except TimingError as error:
        raise InvalidOptionError(error.field, error.problem) from None
