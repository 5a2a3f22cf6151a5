"""The report "jobs": the jobs of the last days."""

from collections.abc import AsyncIterator
from datetime import timedelta

from service.domain.reports.table import Cell
from service.queue import JobQueue, JobRecord

HEADER = (
    "job_id", "task", "status", "attempts", "crashes", "created_at", "scheduled_at", "started_at",
    "finished_at", "error",
)  # fmt: skip
PAGE_RECORDS = 500

Page = tuple[float, list[tuple[Cell, ...]]]


async def jobs_of_last_days(queue: JobQueue, days: int) -> AsyncIterator[Page]:
    """Rows under `HEADER`, newest first, in pages; each with the progress so far, 0 to 100.

    Page by page, because one long transaction would keep the database from vacuuming.
    """
    now = await queue.now()
    first = now - timedelta(days=days)
    before: int | None = None
    while records := await queue.list_records(before=before, limit=PAGE_RECORDS):
        done = (now - records[-1].created_at) / (now - first)
        yield (
            min(max(done, 0), 1) * 100,
            [_row(each) for each in records if each.created_at >= first],
        )
        if records[-1].created_at < first:
            return
        before = records[-1].id


def _row(record: JobRecord) -> tuple[Cell, ...]:
    cells: tuple[Cell, ...] = tuple(
        getattr(record, "key" if name == "job_id" else name) for name in HEADER
    )
    return cells
