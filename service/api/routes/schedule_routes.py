"""Schedules over HTTP: those that the code declares, and those created here."""

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
from service.redact import redacted

SCHEDULES_PATH = "/api/v1/schedules"


class ScheduleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule, with its next tick and the job of its last one."""

    name: str
    task: str
    cron: str | None
    every: str | None
    tz: str
    payload: dict[str, Any]
    unique: bool
    declared: bool
    """The code declares it: it can be disabled here, but only be deleted in the code."""
    enabled: bool
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_job_id: str | None
    last_status: str | None
    last_error: str | None


class ScheduleList(msgspec.Struct, frozen=True):
    """Every schedule of the queue, in the order of their names."""

    items: list[ScheduleDetail]


class ScheduleRun(msgspec.Struct, frozen=True):
    """The job that was enqueued now, apart from the ticks."""

    name: str
    job_id: str


NEW_SCHEDULE = Body(
    examples=[
        Example(
            summary="Every working day at seven in Berlin",
            value={
                "name": "morning-report",
                "task": "send_report",
                "cron": "0 7 * * 1-5",
                "tz": "Europe/Berlin",
                "payload": {"days": 1},
            },
        )
    ]
)


@get("/", summary="List schedules", operation_id="ListSchedules", responses=documented())
async def read_schedules(queue: NamedDependency[JobQueue]) -> ScheduleList:
    """Schedules declared in the code or created here; times are by the database's clock."""
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
    """The payload is checked now; the first tick is the next one from now."""
    return _detail(await schedule_requests.create_schedule(queue, data))


@get("/{name:str}", summary="One schedule", operation_id="GetSchedule", responses=documented(404))
async def read_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """A schedule, with its next tick and the job of its last one."""
    return _detail(await schedule_requests.find_schedule(queue, name))


@delete(
    "/{name:str}",
    summary="Delete a schedule",
    operation_id="DeleteSchedule",
    responses=documented(403, 404, 409),
)
async def delete_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> None:
    """Its jobs stay. 409 for a schedule that the code declares: disable it instead."""
    await schedule_requests.delete_schedule(queue, name)


@post(
    "/{name:str}/enable",
    status_code=200,
    summary="Enable a schedule",
    operation_id="EnableSchedule",
    responses=documented(403, 404),
)
async def enable_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """It ticks again from its next tick on; missed ticks are not made up."""
    return _detail(await schedule_requests.enable_schedule(queue, name))


@post(
    "/{name:str}/disable",
    status_code=200,
    summary="Disable a schedule",
    operation_id="DisableSchedule",
    responses=documented(403, 404),
)
async def disable_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleDetail:
    """It does not tick until it is enabled again, also after a deployment; running jobs go on."""
    return _detail(await schedule_requests.disable_schedule(queue, name))


@post(
    "/{name:str}/run",
    status_code=202,
    summary="Run a schedule now",
    operation_id="RunSchedule",
    responses=documented(403, 404, 422),
)
async def run_schedule(name: FromPath[str], queue: NamedDependency[JobQueue]) -> ScheduleRun:
    """Enqueues one job now; the ticks do not change."""
    return ScheduleRun(name, await schedule_requests.run_schedule_now(queue, name))


def _detail(found: ScheduleRecord) -> ScheduleDetail:
    return ScheduleDetail(
        name=found.name,
        task=found.task,
        cron=found.cron,
        every=found.every,
        tz=found.tz,
        payload=redacted(found.payload),
        unique=found.is_unique,
        declared=found.is_declared,
        enabled=found.is_enabled,
        next_run_at=found.next_run_at,
        last_run_at=found.last_run_at,
        last_job_id=found.last_key,
        last_status=found.last_status,
        last_error=redacted(found.last_error),
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
