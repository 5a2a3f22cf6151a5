"""Renews this worker's lease on its jobs, and rescues the jobs of workers whose lease expired."""

import asyncio
import contextlib
import random
import threading
import time
from collections.abc import Callable

import asyncpg
import structlog
from saq import Status

from service.db import UNAVAILABLE, backoff
from service.queue.postgres import statements as sql
from service.queue.tables import table_statements
from service.queue.tables.table_queue import TableQueue

BEAT_SECONDS = 3.0
LEASE_SECONDS = 12.0  # a worker that has not renewed its lease for so long counts as dead
RESCUE_SECONDS = 14.0  # between rescues if no lease expires: a dead worker's row may be deleted
BLOCKED_SECONDS = 60.0  # a main loop that is blocked for longer counts as dead
STUCK_SECONDS = 30.0  # longer than any timeout of a beat

log = structlog.stdlib.get_logger("queue")


class Lease:
    """Renews the lease every three seconds, by the database's clock, and rescues lost jobs.

    It has a thread and a connection of its own: a job that blocks the main loop for a while is
    alive, and must not run a second time on another worker.
    """

    def __init__(
        self,
        queue: TableQueue,
        *,
        on_dead_letter: Callable[[], None],
        on_pauses: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._database = queue.database
        self._on_pauses = on_pauses
        self._on_dead_letter = on_dead_letter
        self._thread: threading.Thread | None = None
        self._main: asyncio.AbstractEventLoop | None = None
        self._beats: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._stopping = threading.Event()
        # All of time.monotonic().
        self._beat_at = float("-inf")  # the last beat that was written
        self._tried_at = 0.0  # the last beat that began
        self._main_turned_at = 0.0  # the last time that the main loop ran its timer
        self.is_alive = asyncio.Event()
        self.paused: frozenset[str] = frozenset()  # the paused queues, as of the last beat

    def start(self) -> None:
        self._main = asyncio.get_running_loop()
        self._tried_at = time.monotonic()
        self._stopping = threading.Event()
        self._watch_main(self._stopping)
        self._thread = threading.Thread(target=self._run, daemon=True, name="queue beat")
        self._thread.start()

    async def give_up(self) -> None:
        """Stop renewing, and let other workers have the held jobs at once."""
        if self._thread is not None:
            self._stopping.set()
            self.beat_now()
            await asyncio.to_thread(self._thread.join, BEAT_SECONDS)
            self._thread = None
        self.is_alive.clear()
        self._beat_at = float("-inf")
        try:
            await self._database.fetch(
                table_statements.GIVE_UP_LEASE, self._queue.owner, self._queue.names
            )
        except UNAVAILABLE as error:
            log.warning("could not give up the lease; it expires", error=type(error).__name__)

    def beat_now(self) -> None:
        """Renew the lease now: a queue was paused or resumed, or this worker is to drain."""
        if self._beats is not None and not self._beats.is_closed():
            self._beats.call_soon_threadsafe(self._wake.set)

    async def wait_until_alive(self) -> None:
        """Return at once while the lease is fresh, else after the next beat."""
        if not self.is_fresh:
            self.is_alive.clear()  # this process was frozen, or the database is away
        await self.is_alive.wait()

    @property
    def is_fresh(self) -> bool:
        """Was the lease renewed so lately that it lives for a claim and more?"""
        return self.seconds_since_beat() <= LEASE_SECONDS - BEAT_SECONDS

    def seconds_since_beat(self) -> float:
        """Seconds since the lease was renewed; infinite before its first beat."""
        return time.monotonic() - self._beat_at

    def is_live(self) -> bool:
        return (
            self._thread is not None
            and self._thread.is_alive()
            and time.monotonic() - self._tried_at < STUCK_SECONDS
        )

    async def rescue(self) -> list[str]:
        """Rescue now the jobs of workers whose lease has expired. Returns their keys."""
        await self._database.fetch(table_statements.RENEW, *self._queue.renewal(LEASE_SECONDS))
        return self._report(await self._database.fetch(sql.RESCUE, *self._rescuer))

    @property
    def _rescuer(self) -> tuple[str, list[str], float]:
        return self._queue.owner, self._queue.names, LEASE_SECONDS

    def _watch_main(self, stopping: threading.Event) -> None:
        self._main_turned_at = time.monotonic()
        if not stopping.is_set():
            asyncio.get_running_loop().call_later(1.0, self._watch_main, stopping)

    def _run(self) -> None:
        with asyncio.Runner() as runner:
            runner.run(self._beat_forever())

    async def _beat_forever(self) -> None:
        connection: asyncpg.Connection | None = None
        failures, rescued_at = 0, 0.0
        wake = self._wake = asyncio.Event()
        self._beats = asyncio.get_running_loop()
        stopping = self._stopping
        while not stopping.is_set():
            self._tried_at = sent_at = time.monotonic()
            seconds = BEAT_SECONDS * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
            try:
                if sent_at - self._main_turned_at < BLOCKED_SECONDS:
                    if connection is None:
                        connection = await self._database.own_connection("lease")
                    row = await connection.fetchrow(
                        table_statements.RENEW, *self._queue.renewal(LEASE_SECONDS)
                    )
                    assert row is not None
                    self._note_beat(sent_at, frozenset(row["paused"]), row["is_draining"])
                    if row["somebody_died"] or sent_at - rescued_at > RESCUE_SECONDS:
                        self._report(await connection.fetch(sql.RESCUE, *self._rescuer))
                        rescued_at = sent_at
                    if failures:
                        log.info("the lease is renewed again")
                    failures = 0
            except Exception as error:  # whatever it is, this loop has to go on
                failures += 1
                if failures == 1 or not isinstance(error, UNAVAILABLE):
                    log.warning("cannot renew the lease", error=type(error).__name__)
                if connection is not None:
                    connection.terminate()
                    connection = None
                seconds = min(backoff(failures), BEAT_SECONDS)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await wake.wait()
            wake.clear()
        if connection is not None:
            connection.terminate()

    def _note_beat(self, sent_at: float, paused: frozenset[str], is_draining: bool) -> None:
        self._beat_at = sent_at
        is_changed, self.paused = paused != self.paused, paused
        if self._main is not None and not self._main.is_closed():
            self._main.call_soon_threadsafe(self.is_alive.set)
            if is_changed:
                self._main.call_soon_threadsafe(self._on_pauses)
            if is_draining and self._queue.on_drain:
                self._main.call_soon_threadsafe(self._queue.on_drain)

    def _report(self, found: list[asyncpg.Record]) -> list[str]:
        for row in found:
            log.warning("took a job from a dead worker", job_key=row["key"], status=row["status"])
            if row["status"] == Status.FAILED:
                self._on_dead_letter()
        return [row["key"] for row in found]
