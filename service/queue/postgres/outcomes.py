"""Writes the outcomes of jobs, many in one statement, each only while the job is still held."""

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

# Two statements at once: with one, the slots whose outcomes wait for its commit stay idle.
LANES = 2
# $1 keys: deletes ended jobs with a ttl of -1.
DELETE_UNKEPT = """
DELETE FROM saq_jobs WHERE key = ANY ($1::text[])
  AND status NOT IN ('new', 'queued', 'active', 'aborting')
  AND expire_at <= floor(extract(epoch FROM statement_timestamp()))
"""

log = structlog.stdlib.get_logger("queue")


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a run: the job's next status, and what goes with it."""

    job: LeasedJob
    status: Status
    error: str | None = None
    ending: bytes | None = None  # the whole blob, or what is appended to it
    delay: float = 0.0  # seconds before a retry
    refund: int = 0  # attempts that do not count


class OutcomeWriter:
    """Writes how the runs of this process end: completed, failed, retried or handed back."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._batch = Batch(self._write, lanes=LANES)

    async def warm_up(self) -> None:
        """Open connections and plan the statement before the first job needs them."""
        with contextlib.suppress(Exception):  # the first claim fails too, and logs it
            await asyncio.gather(*(self._write([]) for _ in range(LANES)))

    async def write(self, outcome: Outcome) -> bool:
        """Write an outcome. False where the job is no longer held.

        While the database is away it tries again until the caller is cancelled, so that the work
        need not be done again.
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
        if unkept := [outcome.job.key for outcome in outcomes if outcome.job.ttl < 0]:
            with contextlib.suppress(*UNAVAILABLE):  # else they are pruned in a minute
                await self._database.fetch(DELETE_UNKEPT, unkept)
        held = {row["key"] for row in found}
        return [outcome.job.key in held for outcome in outcomes]
