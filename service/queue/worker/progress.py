"""What a running job tells of itself: how far it is, and that it is still there."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Generator

import structlog
from saq import Job

from service.db import UNAVAILABLE
from service.queue.job import LeasedJob

MESSAGE = "message"  # in a job's meta: what it has said last
WRITE_SECONDS = 0.25  # between two writings of one job; what is said meanwhile waits for the next
THREAD_SECONDS = 10.0  # for a plain function's word to be written
MESSAGE_MAX_CHARACTERS = 500

log = structlog.stdlib.get_logger("job")


class Heartbeats:
    """As `ctx["heartbeat_manager"]`: there litestar-saq's `@monitored_job` says that it lives.

    That of litestar-saq writes from a thread of its own, once in thirty seconds.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def register_job(self, job: Job) -> None:
        self._jobs[job.id] = job

    def unregister_job(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)

    def signal(self, job_id: str) -> None:
        """The job lives; others read it in `job.touched`."""
        if (job := self._jobs.get(job_id)) is None:
            return
        writing = asyncio.create_task(self._write(job))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, job: Job) -> None:
        with contextlib.suppress(*UNAVAILABLE):
            await job.update()


class Written:
    """May be awaited and need not be, unlike a coroutine."""

    def __await__(self) -> Generator[None]:
        return
        yield


class Progress:
    """Of one run. May be told from the event loop and from the thread of a plain function."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop
        self._written_at = float("-inf")
        self._later: asyncio.Task[None] | None = None

    def report(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Write it down, at the latest a quarter of a second from now.

        In a plain function it has been written when this returns. Raises `ValueError` outside of 0
        to 100.
        """
        if not 0 <= percent <= 100:
            raise ValueError(f"progress({percent!r}): must be 0 to 100")
        try:
            asyncio.get_running_loop()
        except RuntimeError:  # a plain function, in its thread
            asyncio.run_coroutine_threadsafe(self._report(percent, message), self._loop).result(
                THREAD_SECONDS
            )
            return Written()
        return self._report(percent, message)

    async def _report(self, percent: float, message: str | None) -> None:
        if isinstance(self._job, LeasedJob):
            self._job.beat()  # what is written comes later
        self._job.progress = percent / 100
        if message is not None:
            self._job.meta[MESSAGE] = message[:MESSAGE_MAX_CHARACTERS]
        wait = self._written_at + WRITE_SECONDS - time.monotonic()
        if wait <= 0:
            await self._write()
        elif self._later is None:
            self._later = asyncio.create_task(self._write_later(wait))

    def stop(self) -> None:
        """Write nothing more: the run is over."""
        if self._later:
            self._later.cancel()

    async def _write_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self._later = None
        await self._write()

    async def _write(self) -> None:
        self._written_at = time.monotonic()
        told = {"meta": self._job.meta} if MESSAGE in self._job.meta else {}
        try:
            await self._job.update(progress=self._job.progress, **told)
        except UNAVAILABLE as error:  # no reason for the job to fail
            log.warning("progress not written", error=type(error).__name__)
        except (TypeError, ValueError) as error:  # nor is a meta that has no JSON form
            log.warning("progress not written", error=type(error).__name__)
