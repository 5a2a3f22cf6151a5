"""The task that writes a report."""

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import quote

from msgspec import Meta

from service.aws import open_bucket
from service.domain.reports.contract import REPORTS_PREFIX
from service.domain.reports.jobs_report import HEADER, jobs_of_last_days
from service.domain.reports.table import csv_bytes
from service.domain.reports.upload import upload
from service.queue import Context, task

ReportName = Literal["jobs"]
Days = Annotated[int, Meta(ge=1, le=366)]

WEEK_SECONDS = 7 * 86400


@task(timeout=1800, retries=3, retry_delay=30, ttl=WEEK_SECONDS)
async def write_report(ctx: Context, *, report: ReportName, days: Days) -> dict[str, Any]:
    """Write a report on the last `days` as CSV into the stage's bucket.

    The result has the object's key; a second run of the job writes the same object again. The
    bucket keeps it for 30 days.
    """
    settings = ctx["settings"]
    if settings.bucket is None:
        raise RuntimeError("there is no bucket for the report: set BUCKET")
    key = f"{REPORTS_PREFIX}{quote(ctx.job.key, safe='')}.csv"
    # Opened here, not at the start, because it takes long and most workers never need it.
    bucket = await asyncio.to_thread(open_bucket, settings.bucket, settings.aws_region)
    rows = 0
    async with upload(bucket, key, "text/csv; charset=utf-8") as made:
        await made.write(csv_bytes([HEADER]))
        async for percent, page in jobs_of_last_days(ctx["queue"], days):
            await made.write(csv_bytes(page))
            rows += len(page)
            await ctx.progress(percent, f"{rows} rows")
    ctx.log.info("report written", report=report, rows=rows, bytes=made.bytes)
    return {"report": report, "key": key, "rows": rows, "bytes": made.bytes}
