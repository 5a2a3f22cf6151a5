"""What the API, the worker and the reporter ask of a queue, whichever backend keeps it."""

import asyncio
import contextlib
import os
import secrets
import socket
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from saq import Job, Status
from saq.queue.base import Queue

from service.queue.errors import InvalidOptionError, JobNotFoundError, JobStateError
from service.queue.from_thread import answer_everywhere
from service.queue.job import LeasedJob
from service.queue.postgres import statements as sql
from service.queue.postgres.inspection import QueueStats
from service.queue.schedules.store import Store
from service.queue.stock_worker import HandsOut
from service.queue.tables.connections import Connection, Database
from service.queue.tables.job_history import JobRecord, find_job, list_jobs
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.large_payloads import LargePayloads
from service.queue.tasks.registry import Registry

PAGE_RECORDS = 200
BULK_JOBS = 1000  # of one request: the next one goes on

Slot = Callable[[LeasedJob | None], bool]  # False: it has gone away, the job is for another


def own_name() -> str:
    """What this process is called in leases and logs: host, process number and a bit of chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class WorkerSide(Protocol):
    """Hands due jobs to the free slots of this process's worker."""

    prefetch: int
    asked_to_abort: asyncio.Event
    held: dict[str, LeasedJob]  # what this process has taken, by key

    def wait(self, slot: Slot) -> None:
        """Call `slot(job)` with the next job; None once paused."""

    def resume(self) -> None:
        """Take jobs again."""

    async def pause(self) -> None:
        """Take nothing from now on; what no slot has yet goes back."""

    def leave_alone(self, task: str, seconds: float) -> None:
        """Leave that task's jobs to other workers for so long, where the backend can."""

    async def look_after(self) -> list[LeasedJob]:
        """The running jobs that somebody wants stopped."""

    def is_moving(self) -> bool:
        """Do its loops turn?"""

    @property
    def is_started(self) -> bool:
        """Does this process take jobs?"""

    def seconds_since_heard(self) -> float | None:
        """How long LISTEN has proved nothing; None where there is none."""


class Clock(Protocol):
    """Puts the due ticks of the schedules into the queue."""

    async def turn(self) -> list[str]:
        """Wait until something may be due, and enqueue it; the keys."""

    async def tell(self) -> None:
        """A schedule has changed: have every worker look."""

    async def database_now(self) -> float:
        """Epoch seconds by the clock that decides what is due."""


class JobQueue(HandsOut):
    """A SAQ queue that checks names and payloads and that our API and worker can use.

    `lacks` says which options of a job this backend cannot honour, and what to do instead; using
    one raises `InvalidOptionError`.
    """

    scheme: ClassVar[str]
    lacks: Mapping[str, str] = MappingProxyType({})

    registry: Registry
    owner: str
    consumer: WorkerSide
    ticker: Clock
    recurring: Store
    concurrency: int | None = None  # as the address of the queue wants it
    large_payloads = LargePayloads(None, None)
    # Beside SAQ's own counts of this process (complete, failed, retried, aborted):
    jobs_started: int
    dead_letters: int  # jobs that killed their workers or cannot be read

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        answer_everywhere(cls)

    @staticmethod
    def from_url(url: str, **kwargs: Any) -> Queue:
        """Raises `TypeError`: it makes SAQ's own queues."""
        raise TypeError(
            "from_url makes SAQ's own queues; ours come from "
            "service.queue.factory.create_queue(settings, registry), by QUEUE_DSN"
        )

    @abstractmethod
    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """Put jobs in the queue; None for each whose key waits or runs."""

    async def update(self, job: Job, **kwargs: Any) -> None:
        """Store what has changed in a job: its payload, meta and progress, never its status.

        For a running job it is a sign of life, as SAQ's `heartbeat` wants it. Of a job that runs in
        another process, or has ended, nothing changes.
        """
        if isinstance(job, LeasedJob):
            job.say_alive()
        await super().update(job, **kwargs)

    async def get_job_status(
        self, key: str, for_update: bool = False, connection: Connection | None = None
    ) -> Status | None:
        """The status of the job of that key, None without one."""
        self.refuse_connection(connection)
        job = await self.job(key)
        return job.status if job else None

    @abstractmethod
    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        """Queue jobs again in `delay` seconds; the run was cut short and costs no attempt."""

    @abstractmethod
    async def prune(self) -> int:
        """Forget ended jobs and history past their time; how many."""

    @abstractmethod
    async def clear(self, status: Status, *, task: str | None = None) -> int:
        """Delete a thousand failed or aborted jobs, or fewer if there are no more; how many.

        Their history stays; they can no longer be retried.
        """

    async def retry_failed(self, *, task: str | None = None) -> int:
        """Queue a thousand failed jobs again, or fewer if there are no more; how many."""
        retried = 0
        async for page in self.kept(Status.FAILED, task):
            for job in page:
                with contextlib.suppress(JobNotFoundError, JobStateError):  # another's request
                    await self.retry(job, "retried with the other failed jobs")
                    retried += 1
            if retried >= BULK_JOBS:
                break
        return retried

    async def kept(self, status: Status, task: str | None) -> AsyncIterator[list[Job]]:
        """The jobs with that status that the queue still has, newest first, in pages."""
        before: int | None = None
        while records := await self.list_records(
            status=status.value, task=task, before=before, limit=PAGE_RECORDS
        ):
            found = await self.jobs(list({record.key for record in records}))
            yield [job for job in found if job is not None and job.status is status]
            before = records[-1].id

    async def is_superseded(self, release: str, *, after_seconds: float) -> bool:
        """Does a worker of another release live that came after this one, for so long already?

        This process counts as one of `release` from now on. False where the backend cannot tell.
        """
        return False

    @abstractmethod
    async def stats(self) -> QueueStats:
        """How the queue stands now."""

    @abstractmethod
    async def find_record(self, key: str) -> JobRecord | None:
        """The history of the newest job with that key, or None."""

    @abstractmethod
    async def list_records(
        self,
        *,
        status: str | None = None,
        task: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        """At most `limit` jobs, newest first, older than the one with the id `before`."""

    @abstractmethod
    async def take_turn(self, seconds: float) -> bool:
        """Is it this process's turn to report on the queue? Then the next is `seconds` away."""

    async def ping(self) -> None:
        """Raises one of `service.db.UNAVAILABLE` where what carries the jobs does not answer."""

    async def _before_enqueue(self, job: Job) -> None:
        await super()._before_enqueue(job)
        if LARGE_PAYLOAD in job.meta and job.meta[LARGE_PAYLOAD] is None:
            await self.large_payloads.put_aside(job)

    async def payload(self, job: Job) -> dict[str, Any]:
        """The job's payload, wherever it is. Raises what `LargePayloads.read` raises."""
        if key := job.meta.get(LARGE_PAYLOAD):
            return await self.large_payloads.read(key)
        return job.kwargs or {}

    def check_able(self, job: Job) -> None:
        """Raises `InvalidOptionError` where the job asks for what this backend lacks."""
        for option, reason in self.lacks.items():
            if getattr(job, option, None):
                raise InvalidOptionError(option, f"{self.scheme}:// {reason}")

    def refuse_connection(self, given: object) -> None:
        """For backends that cannot join a transaction. Raises `InvalidOptionError`."""
        if isinstance(given, Connection):
            raise InvalidOptionError(
                "connection",
                f"{self.scheme}:// cannot join a transaction; postgresql:// can. "
                "Enqueue after the commit",
            )

    def copy(self, job: Job) -> Job:
        return job  # SAQ copies before each write, to rewrite the whole blob; we do not

    # What SAQ's `enqueue`, `retry` and `finish` call; ours do it themselves.
    async def _enqueue(self, job: Job) -> Job | None:
        return await self.enqueue(job)

    async def _retry(self, job: Job, error: str | None) -> None:
        await self.retry(job, error)

    async def _finish(
        self, job: Job, status: Status, *, result: Any = None, error: str | None = None
    ) -> None:
        await self.finish(job, status, result=result, error=error)


class TableQueue(JobQueue):
    """A queue whose history and schedules are in Postgres."""

    channel: str
    database: Database

    @property
    def pool(self) -> asyncpg.Pool:
        """Connections to that database; a RuntimeError before `connect`."""
        return self.database.pool

    async def fetch(
        self, statement: str, *arguments: Any, connection: Connection | None = None
    ) -> list[asyncpg.Record]:
        """The rows of a statement, on `connection` or one of the pool."""
        return await self.database.fetch(statement, *arguments, connection=connection)

    def transaction(self) -> AbstractAsyncContextManager[PoolConnectionProxy]:
        """A transaction on a connection of the pool; commits at the end of the block."""
        return self.database.transaction()

    @abstractmethod
    async def tell(self, message: str) -> None:
        """Send one word to every worker of this queue."""

    @abstractmethod
    async def enqueue_ticks(self, jobs: list[Job], connection: Connection) -> list[Job | None]:
        """Put the jobs of ticks in the queue; the ticks are moved on when `connection` commits."""

    async def find_record(self, key: str) -> JobRecord | None:
        return await find_job(self.pool, self.name, key)

    async def list_records(
        self,
        *,
        status: str | None = None,
        task: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        return await list_jobs(
            self.pool, self.name, status=status, task=task, before=before, limit=limit
        )

    async def take_turn(self, seconds: float) -> bool:
        return bool(await self.fetch(sql.TAKE_TURN, self.name, seconds))
