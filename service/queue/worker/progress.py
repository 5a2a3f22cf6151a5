"""Progress and heartbeats that a running job reports."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Generator

import structlog
from saq import Job

from service.db import UNAVAILABLE
from service.queue.job import LeasedJob

MESSAGE = "message"  # in a job's meta: the text of its last report
WRITE_SECONDS = 0.25  # between two writes of one job; a report in between waits for the next write
THREAD_SECONDS = 10.0  # the longest that a report of a plain function blocks its thread
MESSAGE_MAX_CHARACTERS = 500

log = structlog.stdlib.get_logger("job")


class Heartbeats:
    """`ctx["heartbeat_manager"]`, to which litestar-saq's `@monitored_job` sends its heartbeats.

    Replaces litestar-saq's own, which writes from a thread, once in thirty seconds.
    """

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._writing: set[asyncio.Task[None]] = set()

    def register_job(self, job: Job) -> None:
        self._jobs[job.id] = job

    def unregister_job(self, job_id: str) -> None:
        self._jobs.pop(job_id, None)

    def signal(self, job_id: str) -> None:
        """Record a heartbeat; other processes read it in `job.touched`."""
        if (job := self._jobs.get(job_id)) is None:
            return
        writing = asyncio.create_task(self._write(job))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    async def _write(self, job: Job) -> None:
        with contextlib.suppress(*UNAVAILABLE):
            await job.update()


class Written:
    """An awaitable that is done. Unlike a coroutine, it need not be awaited."""

    def __await__(self) -> Generator[None]:
        return
        yield


class Progress:
    """The progress of one run, reported from the event loop or a plain function's thread."""

    def __init__(self, job: Job, loop: asyncio.AbstractEventLoop) -> None:
        self._job = job
        self._loop = loop
        self._written_at = float("-inf")
        self._later: asyncio.Task[None] | None = None

    def report(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Store the report within a quarter of a second; in a plain function before it returns.

        Raises `ValueError` outside of 0 to 100.
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
            self._job.beat()  # now, because the write may come later
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
        changed = {"meta": self._job.meta} if MESSAGE in self._job.meta else {}
        try:
            await self._job.update(progress=self._job.progress, **changed)
        except UNAVAILABLE as error:  # the job must not fail because of its progress
            log.warning("progress not written", error=type(error).__name__)
        except (TypeError, ValueError) as error:  # its meta has no JSON form
            log.warning("progress not written", error=type(error).__name__)
