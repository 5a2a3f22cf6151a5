"""What a task gets as its first argument."""

from typing import Any

import asyncpg
import structlog
from saq import Job


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
