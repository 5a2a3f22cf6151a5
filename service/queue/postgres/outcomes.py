"""Writing what becomes of jobs: many in one statement, each only while its lease holds."""

import asyncio
import contextlib
import math
from typing import TYPE_CHECKING

import structlog
from saq import Status

from service.db import UNAVAILABLE, backoff
from service.queue.job import Settlement
from service.queue.postgres import statements as sql
from service.queue.tables.batch import Batch

if TYPE_CHECKING:
    from service.queue.postgres.postgres_queue import PostgresQueue

# While one commit is on its way to the disk, the slots it will free stand idle.
LANES = 2
# $1 keys: of jobs that are not to be kept once they have ended.
FORGET = """
DELETE FROM saq_jobs WHERE key = ANY ($1::text[])
  AND status NOT IN ('new', 'queued', 'active', 'aborting')
  AND expire_at <= floor(extract(epoch FROM statement_timestamp()))
"""

log = structlog.stdlib.get_logger("queue")


class Settler:
    """Ends, retries and hands back the jobs that a queue's process holds."""

    def __init__(self, queue: "PostgresQueue") -> None:
        self._queue = queue
        self._batch = Batch(self._write, lanes=LANES)

    async def settle(self, settlement: Settlement) -> bool:
        """Write an outcome; False, and a log line, where the job is not held any more.

        Work that is done is not done again because the database is away: the outcome is written
        when the database returns, for as long as the caller waits.
        """
        job, queue = settlement.job, self._queue
        was_held = await self._write_surely(settlement)
        queue.consumer.release(job)
        if job.group_key or job.crashes or settlement.status is Status.QUEUED:
            queue.consumer.look_again()  # the next of its kind, or itself at its retry
        if not was_held:
            log.warning(
                "lease lost; the outcome of this run is dropped",
                job_key=job.key, task=job.function, outcome=settlement.status.value,
            )  # fmt: skip
        elif settlement.status is Status.COMPLETE:
            queue.complete += 1
        elif settlement.status is Status.FAILED:
            queue.failed += 1
        elif settlement.status is Status.ABORTED:
            queue.aborted += 1
        return was_held

    async def warm_up(self) -> None:
        """Open connections and plan the statement before the first job needs them."""
        with contextlib.suppress(Exception):  # the first claim will say it
            await asyncio.gather(*(self._write([]) for _ in range(LANES)))

    async def _write_surely(self, settlement: Settlement) -> bool:
        failures = 0
        while True:
            try:
                return await self._batch(settlement)
            except UNAVAILABLE as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "outcome not written yet; trying until it is",
                        job_key=settlement.job.key, error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(backoff(failures))

    async def _write(self, settlements: list[Settlement]) -> list[bool]:
        found = await self._queue.fetch(
            sql.SETTLE,
            [settled.job.key for settled in settlements],
            [settled.job.lease for settled in settlements],
            [settled.status.value for settled in settlements],
            [storable(settled.error) for settled in settlements],
            [settled.ending for settled in settlements],
            [float(settled.delay) for settled in settlements],
            [settled.refund for settled in settlements],
            [math.ceil(settled.job.ttl) for settled in settlements],
        )
        if forget := [settled.job.key for settled in settlements if settled.job.ttl < 0]:
            with contextlib.suppress(*UNAVAILABLE):  # else it is pruned in a minute
                await self._queue.fetch(FORGET, forget)
        held = {row["key"] for row in found}
        return [settled.job.key in held for settled in settlements]


def storable(value: str | None) -> str | None:
    """Postgres text cannot hold NUL or half a surrogate pair, and an error message may."""
    return value and value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
