"""Writes the outcomes of jobs, many in one statement, each only while the job is still held."""

import asyncio
import contextlib
import math
from typing import Any, Protocol

import msgspec
import structlog
from saq import Status

from service.db import UNAVAILABLE, backoff
from service.queue.interface import OnWritten
from service.queue.job import LeasedJob
from service.queue.postgres import statements as sql
from service.queue.tables.batch import Batch
from service.queue.tables.connections import Database, if_any, storable

# A second statement beside a slow one: else slots stay idle whose outcomes wait for its commit.
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


class _Written:
    """Calls back once an outcome is written: unlike a future, nothing waits for it."""

    __slots__ = ("_outcome", "_then", "_writer")

    def __init__(self, writer: "OutcomeWriter", outcome: Outcome, then: OnWritten) -> None:
        self._writer, self._outcome, self._then = writer, outcome, then

    def done(self) -> bool:
        return False

    def cancel(self) -> None:
        """The process ends: the lease expires, and the job runs again."""

    def set_result(self, answer: bool | Exception) -> None:
        try:
            self._then(answer)
        except Exception:  # the other outcomes of the statement have to go on
            log.exception("a run could not be ended", job_key=self._outcome.job.key)

    def set_exception(self, error: Exception) -> None:
        if isinstance(error, UNAVAILABLE):
            self._writer.write_later(self._outcome, error, self.set_result)
        else:
            self.set_result(error)


class Turn(Protocol):
    async def __call__(self, outcomes: tuple[Any, ...], count: int, /) -> set[str] | None:
        """Write `count` outcomes, the arguments of WRITE_OUTCOMES, and claim jobs for their slots.

        Returns the keys that were still held. None, with nothing written, where nothing is claimed.
        """


class OutcomeWriter:
    """Writes how the runs of this process end: completed, failed, retried or handed back."""

    def __init__(self, database: Database, turn: Turn) -> None:
        self._database = database
        self._turn = turn
        self._batch = Batch(self._write, lanes=LANES)
        self._late: set[asyncio.Task[None]] = set()

    async def warm_up(self) -> None:
        """Open connections and plan the statement before the first job needs them."""
        with contextlib.suppress(Exception):  # the first claim fails too, and logs it
            await asyncio.gather(*(self._write([]) for _ in range(LANES)))

    async def write(self, outcome: Outcome) -> bool:
        """Write an outcome. False where the job is no longer held.

        While the database is away it tries again until the caller is cancelled, so that the work
        need not be done again.
        """
        try:
            return await self._batch(outcome)
        except UNAVAILABLE as error:
            return await self._write_again(outcome, error)

    def write_soon(self, outcome: Outcome, then: OnWritten) -> None:
        """The same for a caller that goes on: `then` is called in the event loop."""
        self._batch.send(outcome, _Written(self, outcome, then))

    def write_later(self, outcome: Outcome, error: Exception, then: OnWritten) -> None:
        """Try again until the outcome is written, after the error of an outage."""

        async def write() -> None:
            try:
                answer: bool | Exception = await self._write_again(outcome, error)
            except Exception as fault:
                answer = fault
            then(answer)

        task = asyncio.create_task(write(), name=outcome.job.key)
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def _write_again(self, outcome: Outcome, error: BaseException) -> bool:
        failures = 1
        log.warning(
            "outcome not written yet; trying until it is",
            job_key=outcome.job.key, error=type(error).__name__,
        )  # fmt: skip
        while True:
            await asyncio.sleep(backoff(failures))
            try:
                return await self._batch(outcome)
            except UNAVAILABLE:
                failures += 1

    async def _write(self, outcomes: list[Outcome]) -> list[bool]:
        arguments = (
            [outcome.job.key for outcome in outcomes],
            [outcome.job.lease for outcome in outcomes],
            [outcome.status.value for outcome in outcomes],
            if_any([storable(outcome.error) for outcome in outcomes]),
            [outcome.ending for outcome in outcomes],
            if_any([float(outcome.delay) for outcome in outcomes]),
            if_any([outcome.refund for outcome in outcomes]),
            [math.ceil(outcome.job.ttl) for outcome in outcomes],
        )
        held = await self._turn(arguments, len(outcomes))
        if held is None:
            found = await self._database.fetch(sql.WRITE_OUTCOMES, *arguments)
            held = {row["key"] for row in found}
        if unkept := [outcome.job.key for outcome in outcomes if outcome.job.ttl < 0]:
            with contextlib.suppress(*UNAVAILABLE):  # else they are pruned in a minute
                await self._database.fetch(DELETE_UNKEPT, unkept)
        return [outcome.job.key in held for outcome in outcomes]
