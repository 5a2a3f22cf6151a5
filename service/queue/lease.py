"""This worker's lease on the jobs it holds, and the jobs of workers whose lease has run out."""

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from service.db import UNAVAILABLE, backoff
from service.queue import statements as sql

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue

BEAT_SECONDS = 3.0
LEASE_SECONDS = 12.0  # without a beat for this long, the jobs go to other workers
MOVING_SECONDS = 30.0  # above a statement's time limit

log = structlog.stdlib.get_logger("queue")


class Lease:
    """Renewed every three seconds on the database's clock; each beat also takes over lost jobs."""

    def __init__(self, queue: "PostgresQueue") -> None:
        self._queue = queue
        self._task: asyncio.Task[None] | None = None
        self._beat_at = float("-inf")  # event-loop time of the last beat that was written
        self._tried_at = 0.0
        self._steady_since = float("-inf")
        self.is_alive = asyncio.Event()

    def start(self) -> None:
        self._tried_at = _now()
        self._task = asyncio.create_task(self._beat_forever(), name="queue beat")

    async def give_up(self) -> None:
        """Stop beating and let others have at once what is still held."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None
        self.is_alive.clear()
        try:
            await self._queue.fetch(sql.LEAVE, self._queue.owner)
        except UNAVAILABLE as error:
            log.warning("could not give up the lease; it runs out", error=type(error).__name__)

    async def until_alive(self) -> None:
        """Returns while the lease is fresh; waits for the next beat where it is not."""
        if _now() - self._beat_at > LEASE_SECONDS - BEAT_SECONDS:
            self.is_alive.clear()  # this process was frozen, or the database is away
        await self.is_alive.wait()

    def is_moving(self) -> bool:
        return (
            self._task is not None
            and not self._task.done()
            and _now() - self._tried_at < MOVING_SECONDS
        )

    async def beat(self, *, take_over: bool = True) -> list[str]:
        """Renew the lease; the keys of jobs taken from workers whose lease has run out."""
        queue, sent_at = self._queue, _now()
        found = await queue.fetch(
            sql.BEAT, queue.owner, queue.name, LEASE_SECONDS, queue.channel, take_over
        )
        self._beat_at = sent_at
        self.is_alive.set()
        for row in found:
            log.warning("took a job from a dead worker", job_key=row["key"], status=row["status"])
        return [row["key"] for row in found]

    async def _beat_forever(self) -> None:
        failures = 0
        while True:
            self._tried_at = _now()
            try:
                await self.beat(take_over=self._tried_at - self._steady_since > LEASE_SECONDS)
                if failures:
                    log.info("the lease is renewed again")
                failures = 0
                seconds = BEAT_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            except Exception as error:  # whatever it is, a loop that ends would lose every job
                failures += 1
                if failures == 1:
                    log.warning("cannot renew the lease", error=type(error).__name__)
                if not isinstance(error, UNAVAILABLE):
                    log.error("cannot renew the lease", exc_info=error)
                # The others may be cut off too: when this ends, they get a lease's time to beat
                # before their jobs are taken.
                self._steady_since = _now()
                seconds = min(backoff(failures), BEAT_SECONDS)
            await asyncio.sleep(seconds)


def _now() -> float:
    return asyncio.get_running_loop().time()
