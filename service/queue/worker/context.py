"""The context: the first argument of every task."""

from collections.abc import Awaitable
from typing import Any, Protocol

import asyncpg
import structlog
from saq import Job

from service.queue.worker.progress import Progress


class CurrentRun(Protocol):
    """The part of a run that its context uses."""

    @property
    def progress(self) -> Progress: ...

    @property
    def interruption(self) -> str | None: ...


class Context(dict[str, Any]):
    """SAQ's context dictionary, with attributes for what a task uses most.

    `ctx["job"]` and `ctx.job` are the same job, so functions written for SAQ keep working. What a
    start-up hook puts into it (`ctx["client"] = …`) is there in every job.
    """

    @property
    def job(self) -> Job:
        """The job being run: `key`, `attempts` (this one included), `retries`, `meta`."""
        job: Job = self["job"]
        return job

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections to the application's database, shared by all jobs of this worker."""
        pool: asyncpg.Pool = self["pool"]
        return pool

    @property
    def log(self) -> structlog.stdlib.BoundLogger:
        """A logger whose lines carry the job's key, task, attempt and request id."""
        log: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger("job")
        return log

    def progress(self, percent: float, message: str | None = None) -> Awaitable[None]:
        """Report how far the job is, 0 to 100, and a text: `await ctx.progress(40, "resizing")`.

        Shown by `GET /api/v1/jobs/{key}` and its event stream. In a plain function it is called
        without `await`. Call it as often as you like: at most four reports a second are written.
        Raises `ValueError` for a number outside of 0 to 100.
        """
        run: CurrentRun | None = self.get("run")
        if run is not None:  # it is None in SAQ's own worker
            return run.progress.report(percent, message)
        return Progress(self.job, self["loop"]).report(percent, message)

    @property
    def cancelled(self) -> bool:
        """Does this job have to stop, because it was cancelled, timed out, or its worker drains?

        For plain functions, which nothing can interrupt: check it now and then, and return when it
        is true. An `async` task gets `asyncio.CancelledError` instead.
        """
        run: CurrentRun | None = self.get("run")
        return run is not None and run.interruption is not None
