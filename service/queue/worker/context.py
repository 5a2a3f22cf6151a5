"""What a task gets as its first argument."""

from collections.abc import Awaitable
from typing import Any, Protocol

import asyncpg
import structlog
from saq import Job

from service.queue.worker.progress import Progress


class CurrentRun(Protocol):
    """The run that a context belongs to."""

    @property
    def progress(self) -> Progress: ...

    @property
    def interruption(self) -> str | None: ...


class Context(dict[str, Any]):
    """SAQ's context dictionary with names for what a task uses most.

    `ctx["job"]` and `ctx.job` are the same thing, so functions written for SAQ keep working. A
    start-up hook may put more into it (`ctx["client"] = …`); every job then finds it there.
    """

    @property
    def job(self) -> Job:
        """The job being run: `key`, `attempts` (this one included), `retries`, `meta`."""
        job: Job = self["job"]
        return job

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections to the application's database, shared by the jobs of this worker."""
        pool: asyncpg.Pool = self["pool"]
        return pool

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger that already knows the job's key, task, attempt and request id."""
        log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("job")
        return log

    def progress(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Say how far the job is, 0 to 100, and what it does: `await ctx.progress(40, "resizing")`.

        Shown by `GET /api/v1/jobs/{key}` and its event stream. In a plain function it is called
        without `await`. May be called as often as you like: at most four of them a second are
        written. Raises `ValueError` for another number.
        """
        run: CurrentRun | None = self.get("run")
        if run is not None:  # it is None in a worker of SAQ's own
            return run.progress.report(percent, message)
        return Progress(self.job, self["loop"]).report(percent, message)

    @property
    def cancelled(self) -> bool:
        """Has this job been asked to stop: cancelled, out of time, or its worker drains?

        For plain functions, which nothing can interrupt: one that looks now and then, and returns,
        ends as soon as it does. An `async` task gets `asyncio.CancelledError` instead.
        """
        run: CurrentRun | None = self.get("run")
        return run is not None and run.interruption is not None
