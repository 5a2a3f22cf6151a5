"""Writing what becomes of jobs: many in one statement, each only while its lease holds."""

import asyncio
import contextlib
import math

import msgspec
import structlog
from saq import Status

from service.db import UNAVAILABLE, backoff
from service.queue.job import LeasedJob
from service.queue.postgres import statements as sql
from service.queue.tables.batch import Batch
from service.queue.tables.connections import Database, if_any, storable

# While one commit is on its way to the disk, the slots it will free stand idle.
LANES = 2
# $1 keys: of jobs that are not to be kept once they have ended.
FORGET = """
DELETE FROM saq_jobs WHERE key = ANY ($1::text[])
  AND status NOT IN ('new', 'queued', 'active', 'aborting')
  AND expire_at <= floor(extract(epoch FROM statement_timestamp()))
"""

log = structlog.stdlib.get_logger("queue")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a job this process holds."""

    job: LeasedJob
    status: Status
    error: str | None = None
    ending: bytes | None = None
    delay: float = 0.0  # seconds before a retry
    refund: int = 0  # attempts that did not count


class OutcomeWriter:
    """Ends, retries and hands back the jobs that a queue's process holds."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch = Batch(self._write, lanes=LANES)

    async def warm_up(self) -> None:
        """Open connections and plan the statement before the first job needs them."""
        with contextlib.suppress(Exception):  # the first claim will say it
            await asyncio.gather(*(self._write([]) for _ in range(LANES)))

    async def write(self, outcome: Outcome) -> bool:
        """Write an outcome; False where the job is not held any more.

        Work that is done is not done again because the database is away: the outcome is written
        when the database returns, for as long as the caller waits.
        """
        failures = 0
        while True:
            try:
                return await self._batch(outcome)
            except UNAVAILABLE as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "outcome not written yet; trying until it is",
                        job_key=outcome.job.key, error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(backoff(failures))

    async def _write(self, outcomes: list[Outcome]) -> list[bool]:
        found = await self._database.fetch(
            sql.WRITE_OUTCOMES,
            [outcome.job.key for outcome in outcomes],
            [outcome.job.lease for outcome in outcomes],
            [outcome.status.value for outcome in outcomes],
            if_any([storable(outcome.error) for outcome in outcomes]),
            [outcome.ending for outcome in outcomes],
            if_any([float(outcome.delay) for outcome in outcomes]),
            if_any([outcome.refund for outcome in outcomes]),
            [math.ceil(outcome.job.ttl) for outcome in outcomes],
        )
        if forget := [outcome.job.key for outcome in outcomes if outcome.job.ttl < 0]:
            with contextlib.suppress(*UNAVAILABLE):  # else it is pruned in a minute
                await self._database.fetch(FORGET, forget)
        held = {row["key"] for row in found}
        return [outcome.job.key in held for outcome in outcomes]
