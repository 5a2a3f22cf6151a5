"""Reports over HTTP: request one, then get its link."""

import asyncio
from typing import Annotated
from urllib.parse import quote

import msgspec
from litestar import Response, Router, get, post
from litestar.di import NamedDependency
from litestar.exceptions import NotFoundException, ServiceUnavailableException
from litestar.openapi.spec import Example
from litestar.params import Body, FromPath

from service.aws import open_bucket
from service.domain.reports.jobs.tasks import Days, ReportName
from service.problem import documented
from service.queue import JobQueue, build_job
from service.settings import Settings

REPORTS_PATH = "/api/v1/reports"
TASK = "write_report"
LINK_SECONDS = 900


class ReportRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The name of a report, and its number of days."""

    report: ReportName
    days: Days


class ReportView(msgspec.Struct, frozen=True, kw_only=True):
    """A report: the job that writes it, and its link once it is written."""

    job_id: str
    status: str
    progress: float
    """0 to 100."""
    rows: int | None = None
    url: str | None = None
    """Anybody with this link can download the file for 15 minutes; each answer has a new link."""
    error: str | None = None


@post(
    "/",
    status_code=202,
    summary="Ask for a report",
    operation_id="RequestReport",
    responses=documented(403, 413, 415, 422),
)
async def request_report(
    data: Annotated[ReportRequest, Body(examples=[Example(value={"report": "jobs", "days": 7})])],
    queue: NamedDependency[JobQueue],
    settings: NamedDependency[Settings],
) -> Response[ReportView]:
    """A job writes it as CSV into the stage's bucket, which keeps it for 30 days.

    Get the link from the address in `Location` later.
    """
    _bucket_name(settings)
    job = build_job(queue.registry, TASK, msgspec.to_builtins(data))
    await queue.enqueue(job)
    view = ReportView(job_id=job.key, status="queued", progress=0)
    location = f"{REPORTS_PATH}/{quote(job.key, safe='')}"
    return Response(view, status_code=202, headers={"Location": location})


@get("/{job_id:str}", summary="One report", operation_id="GetReport", responses=documented(404))
async def read_report(
    job_id: FromPath[str], queue: NamedDependency[JobQueue], settings: NamedDependency[Settings]
) -> ReportView:
    """Its progress, and a fresh link once it is written; for a week."""
    name = _bucket_name(settings)
    job = await queue.job(job_id)
    if job is None or job.function != TASK:
        raise NotFoundException("There is no such report, or it is more than a week old.")
    view = ReportView(
        job_id=job.key,
        status=job.status.value,
        progress=round(job.progress * 100, 2),
        error=job.error,
    )
    if job.status.value != "complete":
        return view
    try:
        bucket = await asyncio.to_thread(open_bucket, name, settings.aws_region)
        url = await asyncio.to_thread(
            bucket.link, job.result["key"], seconds=LINK_SECONDS, file_name="report.csv"
        )
    except ConnectionError as error:
        raise ServiceUnavailableException(f"No link can be made: {error}.") from None
    return msgspec.structs.replace(view, rows=job.result["rows"], url=url, error=None)


def _bucket_name(settings: Settings) -> str:
    if settings.bucket is None:
        raise ServiceUnavailableException("There is no bucket for reports: set BUCKET.")
    return settings.bucket


route_handlers = [
    Router(REPORTS_PATH, route_handlers=[request_report, read_report], tags=["Reports"])
]
