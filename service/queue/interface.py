"""What the API, the worker and the reporter ask of a queue, whichever backend keeps it."""

import asyncio
import contextlib
import os
import secrets
import socket
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, ClassVar, Protocol

from saq import Job, Status
from saq.queue.base import Queue
from saq.utils import now

from service.db import Connection
from service.queue.errors import (
    InvalidOptionError,
    JobNotFoundError,
    JobStateError,
    WrongQueueError,
)
from service.queue.from_thread import answer_any_thread
from service.queue.job import JobRecord, LeasedJob
from service.queue.schedule_record import Scheduler, ScheduleStore
from service.queue.stock_worker import StockWorkerQueue
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.large_payloads import LargePayloads
from service.queue.tasks.registry import Registry

PAGE_RECORDS = 200
BULK_JOBS = 1000  # of one request: the next one goes on
PAGE_ROWS = 50  # of each kind of job on the job page

Slot = Callable[[LeasedJob | None], bool]  # False: it has gone away, the job is for another


def own_name() -> str:
    """What this process is called in leases and logs: host, process number and a bit of chance."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Consumer(Protocol):
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

    def skip_task(self, task: str, seconds: float) -> None:
        """Leave that task's jobs to other workers for so long, where the backend can."""

    async def jobs_to_stop(self) -> list[LeasedJob]:
        """The running jobs that somebody wants stopped."""

    def is_moving(self) -> bool:
        """Do its loops turn?"""

    @property
    def is_started(self) -> bool:
        """Does this process take jobs?"""

    def seconds_since_heard(self) -> float | None:
        """How long LISTEN has proved nothing; None where there is none."""


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """How a queue stands; counts stop at 100,000."""

    queued: int  # due and waiting: the backlog
    scheduled: int  # waiting for their time
    active: int
    failed: int  # and still kept
    workers: int  # alive
    oldest_due_seconds: float  # how long the job that has waited longest is due


class JobQueue(StockWorkerQueue):
    """A SAQ queue that checks names and payloads and that our API and worker can use.

    `lacks` says which options of a job this backend cannot honour, and what to do instead; using
    one raises `InvalidOptionError`.
    """

    scheme: ClassVar[str]
    lacks: Mapping[str, str] = MappingProxyType({})

    registry: Registry
    owner: str
    consumer: Consumer
    scheduler: Scheduler
    schedule_store: ScheduleStore
    concurrency: int | None = None  # as the address of the queue wants it
    large_payloads = LargePayloads(None, None)
    # Beside SAQ's own counts of this process (complete, failed, retried, aborted):
    jobs_started: int
    dead_letters: int  # jobs that killed their workers or cannot be read

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        answer_any_thread(cls)

    @staticmethod
    def from_url(url: str, **kwargs: Any) -> Queue:
        """Raises `TypeError`: it makes SAQ's own queues."""
        raise TypeError(
            "from_url makes SAQ's own queues; ours come from "
            "service.queue.create_queue(settings, registry), by QUEUE_DSN"
        )

    @abstractmethod
    async def enqueue(  # type: ignore[override] # positional-only: any name may be a payload field
        self, job_or_func: str | Job, /, **kwargs: Any
    ) -> Job | None:
        """Put a job in the queue; None where one with its key already waits or runs.

            await queue.enqueue("send_welcome_email", user_id=7)
            await queue.enqueue("send_welcome_email", user_id=7, delay=60, key="welcome-7")

        With `connection`, the job exists if and only if the caller's transaction on it commits.
        Raises `UnknownTaskError`, `InvalidPayloadError` or `InvalidOptionError`, and then nothing
        was enqueued.
        """

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
            job.beat()
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
        async for page in self.retained(Status.FAILED, task):
            for job in page:
                with contextlib.suppress(JobNotFoundError, JobStateError):  # another's request
                    await self.retry(job, "retried with the other failed jobs")
                    retried += 1
            if retried >= BULK_JOBS:
                break
        return retried

    async def retained(self, status: Status, task: str | None) -> AsyncIterator[list[Job]]:
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

    async def now(self) -> datetime:
        """The time by the clock that decides what is due; this process's own may be wrong."""
        return datetime.fromtimestamp(await self.scheduler.database_now(), UTC)

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
    async def claim_report(self, seconds: float) -> bool:
        """Is it this process's turn to report on the queue? Then the next is `seconds` away."""

    async def ping(self) -> None:
        """Raises one of `service.db.UNAVAILABLE` where what carries the jobs does not answer."""

    async def _prepare(self, job: Job) -> None:
        """Make it a waiting job of this queue, before it is written. Raises `WrongQueueError`."""
        if job.queue is not None and job.queue.name != self.name:
            raise WrongQueueError(job.queue.name)
        job.key = self._own_key(job.key)
        job.queue, job.queued, job.status = self, now(), Status.QUEUED
        await self._before_enqueue(job)

    def _own_key(self, key: str) -> str:
        """The key as the backend keeps it."""
        return key

    async def _before_enqueue(self, job: Job) -> None:
        if self._before_enqueues:
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
