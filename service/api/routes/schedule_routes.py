"""Recurring jobs over HTTP: what the code declares and what is created here."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, delete, get, post
from litestar.di import NamedDependency
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from service.enqueue_answers import ENQUEUE_HANDLERS
from service.problem import documented
from service.queue.interface import JobQueue
from service.queue.schedule_record import ScheduleRecord
from service.queue.schedules import schedule_requests
from service.queue.schedules.schedule_requests import ScheduleRequest

SCHEDULES_PATH = "/api/v1/schedules"


class ScheduleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A recurring job: when it comes, and what became of its last tick."""

    name: str
    task: str
    cron: str | None
    every: str | None
    tz: str
    payload: dict[str, Any]
    unique: bool
    declared: bool
    """In the code: it can be disabled here, and deleted only there."""
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_job_id: str | None
    last_status: str | None
    last_error: str | None


class ScheduleList(msgspec.Struct, frozen=True):
    """Every recurring job of the queue, by name."""

    items: list[ScheduleDetail]


class ScheduleRun(msgspec.Struct, frozen=True):
    """The job that was enqueued beside the ticks."""

    name: str
    job_id: str


NEW_SCHEDULE = Body(
    examples=[
        Example(
            summary="Every working day at seven in Berlin",
            value={
                "name": "morning-hello",
                "task": "example_task",
                "cron": "0 7 * * 1-5",
                "tz": "Europe/Berlin",
                "payload": {"message": "good morning"},
            },
        )
    ]
)


@get("/", summary="List schedules", operation_id="ListSchedules", responses=documented())
async def read_schedules(queue: NamedDependency[JobQueue]) -> ScheduleList:
    """Declared in the code or created here; times are by the database's clock."""
    return ScheduleList([_detail(each) for each in await schedule_requests.list_schedules(queue)])


@post(
    "/",
    status_code=201,
    summary="Create a schedule",
    operation_id="CreateSchedule",
    responses=documented(403, 404, 409, 413, 415, 422),
)
async def create_schedule(
    data: Annotated[ScheduleRequest, NEW_SCHEDULE], queue: NamedDependency[JobQueue]
) -> ScheduleDetail:
    """Its payload is checked now; its first tick is the next that comes."""
    return _detail(await schedule_requests.create_schedule(queue, data))


@get("/{name:str}", summary="One schedule", operation_id="GetSchedule", responses=documented(404))
async def read_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """When it comes next, and what became of its last tick."""
    return _detail(await schedule_requests.find_schedule(queue, name))


@delete(
    "/{name:str}",
    summary="Delete a schedule",
    operation_id="DeleteSchedule",
    responses=documented(403, 404, 409),
)
async def delete_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> None:
    """It comes no more; its jobs stay. 409 for one that the code declares: disable it."""
    await schedule_requests.delete_schedule(queue, name)


@post(
    "/{name:str}/enable",
    status_code=200,
    summary="Enable a schedule",
    operation_id="EnableSchedule",
    responses=documented(403, 404),
)
async def enable_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """From its next tick on; what it missed does not come."""
    return _detail(await schedule_requests.enable_schedule(queue, name))


@post(
    "/{name:str}/disable",
    status_code=200,
    summary="Disable a schedule",
    operation_id="DisableSchedule",
    responses=documented(403, 404),
)
async def disable_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """No tick comes until it is enabled again, whatever is deployed; running jobs go on."""
    return _detail(await schedule_requests.disable_schedule(queue, name))


@post(
    "/{name:str}/run",
    status_code=202,
    summary="Run a schedule now",
    operation_id="RunSchedule",
    responses=documented(403, 404, 422),
)
async def run_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleRun:
    """One job beside its ticks, which come as ever."""
    return ScheduleRun(name, await schedule_requests.run_schedule_now(queue, name))


def _detail(found: ScheduleRecord) -> ScheduleDetail:
    return ScheduleDetail(
        name=found.name,
        task=found.task,
        cron=found.cron,
        every=found.every,
        tz=found.tz,
        payload=found.payload,
        unique=found.is_unique,
        declared=found.is_declared,
        enabled=found.is_enabled,
        next_run_at=found.next_run_at,
        last_run_at=found.last_run_at,
        last_job_id=found.last_key,
        last_status=found.last_status,
        last_error=found.last_error,
    )


router = Router(
    SCHEDULES_PATH,
    route_handlers=[
        read_schedules, create_schedule, read_schedule, delete_schedule, enable_schedule,
        disable_schedule, run_schedule,
    ],
    tags=["Schedules"],
    exception_handlers=ENQUEUE_HANDLERS,
)  # fmt: skip
