"""Requests of an operator on a job, whichever worker holds it: cancel it, or retry it."""

from typing import Any

from saq import Status

from service.queue import job_blob
from service.queue.errors import JobNotFoundError, JobStateError
from service.queue.postgres import statements as sql
from service.queue.postgres.stock_clients import SHOW_ABORTED
from service.queue.tables.connections import storable
from service.queue.tables.table_queue import TableQueue


async def abort(queue: TableQueue, key: str, error: str) -> Status:
    """Cancel a job: at once while it waits, by its worker while it runs. Returns its new status.

    Raises `JobStateError` where it has ended, `JobNotFoundError` where no job has that key.
    """
    wanted = "only a waiting or running job can be cancelled"
    status = await _change_state(queue, sql.ABORT, key, storable(error), wanted=wanted)
    if status is Status.ABORTING:
        await queue.notify_workers("saq:abort")
    else:
        await queue.fetch(SHOW_ABORTED, key, queue.name)
    return status


async def retry_ended(queue: TableQueue, key: str) -> None:
    """Queue an ended job again, with all its attempts. Raises the same errors as `abort`."""
    stored = await queue.job(key)
    if stored is None:
        raise JobNotFoundError(key)
    wanted = "only an ended job can be retried"
    await _change_state(queue, sql.RETRY_ENDED, stored.key, job_blob.dump(stored), wanted=wanted)
    await queue.notify_workers("saq:enqueue")


async def _change_state(
    queue: TableQueue, statement: str, key: str, *arguments: Any, wanted: str
) -> Status:
    if changed := await queue.fetch(statement, key, queue.name, *arguments):
        return Status(changed[0]["status"])
    current = await queue.fetch(sql.STATUS, queue.name, key)
    if not current:
        raise JobNotFoundError(key)
    status = Status(current[0]["status"])
    if status is Status.ABORTING and statement == sql.ABORT:
        return status  # aborted twice
    raise JobStateError(key, status.value, wanted)
