"""The queue's interface: what the API, the worker and the reporter use of any backend."""

import asyncio
import contextlib
import os
import secrets
import socket
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Protocol

from saq import Job, Status
from saq.queue.base import Queue
from saq.utils import now

from service.db import Connection
from service.queue.bulk_action import BulkActions
from service.queue.dequeue import Slot
from service.queue.errors import (
    InvalidOptionError,
    JobNotFoundError,
    JobStateError,
)
from service.queue.from_thread import answer_any_thread
from service.queue.job import LeasedJob
from service.queue.job_filter import JobFilter
from service.queue.reads import QueueReads
from service.queue.schedule_record import ScheduleStore
from service.queue.tasks.enqueue import LARGE_PAYLOAD
from service.queue.tasks.large_payloads import LargePayloads
from service.queue.tasks.registry import Registry

PAGE_RECORDS = 200
BULK_JOBS = 1000  # the most that one `retry_failed` or `clear` handles
PAGE_ROWS = 50  # of each kind of job on the job page
# On a queue's channel: it was paused or resumed. On a worker's own: somebody wants it to drain.
# Either is read with the next renewal of the lease, which is now.
PAUSES = "saq:pauses"


def new_owner() -> str:
    """A new name of this process for leases and logs: host, process id and a random suffix."""
    # Its channel is `moorage:` and this; Postgres refuses the 64th character of a channel's name.
    return f"{socket.gethostname()[:39]}-{os.getpid()}-{secrets.token_hex(3)}"


class Consumer(Protocol):
    """Hands due jobs to the free slots of this process's worker."""

    prefetch: int
    asked_to_abort: asyncio.Event
    held: dict[str, LeasedJob]  # the jobs that this process holds, by key

    def wait(self, slot: Slot) -> None:
        """Call `slot(job)` with the next job, or `slot(None)` once paused."""

    def resume(self) -> None:
        """Claim jobs again."""

    async def pause(self) -> None:
        """Claim no more jobs, and queue those again that no slot has started."""

    def skip_task(self, task: str, seconds: float) -> None:
        """Claim no job of that task for `seconds`, where the backend can choose."""

    async def jobs_to_stop(self) -> list[LeasedJob]:
        """The running jobs that were aborted and have to stop."""

    def is_live(self) -> bool:
        """Are its loops running, and none of them stuck?"""

    @property
    def is_started(self) -> bool:
        """Does this process claim jobs?"""

    def seconds_since_heard(self) -> float | None:
        """Seconds since LISTEN last received its own ping; None for a backend without LISTEN."""


# Called in the event loop, with whether the job was still held, or with the error of the statement.
OnWritten = Callable[[bool | Exception], None]


class JobQueue(QueueReads):
    """A SAQ queue that checks task names and payloads, for our API and worker.

    `lacks` names the job options that this backend cannot honour, each with what to do instead.
    Using one raises `InvalidOptionError`.
    """

    lacks: Mapping[str, str] = MappingProxyType({})

    registry: Registry
    owner: str
    consumer: Consumer
    schedule_store: ScheduleStore
    concurrency: int | None = None  # from the queue's address; None: the setting decides
    large_payloads = LargePayloads(None, None)
    # Of this process's worker: its slots, and what drains it where it is a process of its own.
    slots: int | None = None
    on_drain: Callable[[], None] | None = None
    # Counts of this process, beside SAQ's own (complete, failed, retried, aborted):
    jobs_started: int
    dead_letters: int  # jobs that killed their workers or cannot be read

    @abstractmethod
    async def pause(self) -> None:
        """Let no worker fetch from this queue, until it is resumed; running jobs go on.

        It is remembered. Jobs can be enqueued, and wait.
        """

    @abstractmethod
    async def resume(self) -> None:
        """Let workers fetch from this queue again."""

    @abstractmethod
    async def drain_worker(self, name: str) -> None:
        """Let a worker do what it does at SIGTERM: start no further job, finish what runs, and end.

        Its service then starts another one. Raises `WorkerNotFoundError`, and `WorkerStateError`
        where it is not a process of its own.
        """

    @abstractmethod
    async def note_runs(self, complete: int, failed: int, retried: int) -> None:
        """Add runs that this process has ended to the counts of this minute."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        answer_any_thread(cls)

    @staticmethod
    def from_url(url: str, **kwargs: Any) -> Queue:
        """Raises `TypeError`, because it would make one of SAQ's own queues."""
        raise TypeError(
            "from_url makes SAQ's own queues; ours come from "
            "service.queue.create_queue(settings, registry), by QUEUE_DSN"
        )

    @abstractmethod
    async def enqueue(  # type: ignore[override] # positional-only: any name may be a payload field
        self, job_or_func: str | Job, /, **kwargs: Any
    ) -> Job | None:
        """Put a job in the queue. Returns it, or None where its key already waits or runs.

            await queue.enqueue("send_welcome_email", user_id=7)
            await queue.enqueue("send_welcome_email", user_id=7, delay=60, key="welcome-7")

        With `connection`, the job exists if and only if the caller's transaction on it commits.
        Where it raises `UnknownTaskError`, `InvalidPayloadError` or `InvalidOptionError`, nothing
        was enqueued.
        """

    @abstractmethod
    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """Put jobs in the queue. Returns each, or None for each whose key already waits or runs."""

    async def update(self, job: Job, **kwargs: Any) -> None:
        """Store a job's payload, meta and progress; never its status.

        For a job that runs in this process it also counts as a heartbeat. A job that runs in
        another process, or has ended, does not change.
        """
        if isinstance(job, LeasedJob):
            job.beat()
        await super().update(job, **kwargs)

    async def get_job_status(
        self, key: str, for_update: bool = False, connection: Connection | None = None
    ) -> Status | None:
        """The status of the job with that key, or None."""
        self.refuse_connection(connection)
        job = await self.job(key)
        return job.status if job else None

    @abstractmethod
    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        """Queue held jobs again, due in `delay` seconds. The interrupted run costs no attempt."""

    def complete_soon(self, job: LeasedJob, result: Any, then: OnWritten) -> bool:
        """End a job that runs here and is complete, while the caller goes on.

        `then` is called once it is written. False where the backend has no such way: await
        `finish`. Raises what `finish` raises where the result has no JSON form.
        """
        return False

    @abstractmethod
    async def prune(self) -> int:
        """Delete ended jobs and history that have expired. Returns how many."""

    @abstractmethod
    async def clear(self, status: Status, *, task: str | None = None) -> int:
        """Delete failed or aborted jobs, at most a thousand. Returns how many.

        Their history stays; they can no longer be retried.
        """

    async def retry_failed(self, *, task: str | None = None) -> int:
        """Queue failed jobs again, at most about a thousand. Returns how many."""
        retried = 0
        async for page in self.retained(Status.FAILED, task):
            for job in page:
                # Somebody else has retried or cleared it meanwhile.
                with contextlib.suppress(JobNotFoundError, JobStateError):
                    await self.retry(job, "retried with the other failed jobs")
                    retried += 1
            if retried >= BULK_JOBS:
                break
        return retried

    async def retained(self, status: Status, task: str | None) -> AsyncIterator[list[Job]]:
        """The jobs with that status that the queue still keeps, newest first, in pages."""
        wanted = JobFilter(status=status.value, task=task, queue=self.name)
        before: int | None = None
        while True:
            page = await self.search_records(wanted, before=before, limit=PAGE_RECORDS)
            found = await self.jobs(list({record.key for record in page.records}))
            yield [job for job in found if job is not None and job.status is status]
            if (before := page.before) is None:
                return

    async def is_superseded(self, release: str, *, after_seconds: float) -> bool:
        """Has a worker of another release started after this one and lived for `after_seconds`?

        Also records that this process is of `release`. False where the backend does not know.
        """
        return False

    @property
    def bulk(self) -> BulkActions:
        """Changes of many jobs at once. Raises `InvalidOptionError` where this backend has none."""
        raise InvalidOptionError(
            "action", f"{self.scheme}:// changes jobs one by one; postgresql:// changes many"
        )

    @abstractmethod
    async def claim_report(self, seconds: float) -> bool:
        """Claim the next report on the queue. True for one process in each `seconds`."""

    async def ping(self) -> None:
        """Raises one of `service.db.UNAVAILABLE` where the backend does not answer."""

    async def prepare(self, job: Job) -> None:
        """Make `job` a waiting job of this queue, before it is stored."""
        job.key = self.own_key(job.key)
        job.queue, job.queued, job.status = self, now(), Status.QUEUED
        await self._before_enqueue(job)

    def destination(self, jobs: Sequence[Job]) -> str:
        """The queue to which the jobs go; of those that go to several, this one's name."""
        names = {self._home(job).name for job in jobs}
        return names.pop() if len(names) == 1 else self.name

    async def _before_enqueue(self, job: Job) -> None:
        if self._before_enqueues:
            await super()._before_enqueue(job)
        if LARGE_PAYLOAD in job.meta and job.meta[LARGE_PAYLOAD] is None:
            await self.large_payloads.store(job)

    async def payload(self, job: Job) -> dict[str, Any]:
        """The job's payload, from the job or from the bucket.

        Raises what `LargePayloads.read` raises.
        """
        if key := job.meta.get(LARGE_PAYLOAD):
            return await self.large_payloads.read(key)
        return job.kwargs or {}

    def check_able(self, job: Job) -> None:
        """Raises `InvalidOptionError` where the job uses an option that this backend lacks."""
        for option, reason in self.lacks.items():
            if getattr(job, option, None):
                raise InvalidOptionError(option, f"{self.scheme}:// {reason}")

    def refuse_connection(self, given: object) -> None:
        """Raises `InvalidOptionError` for a connection: this backend cannot join a transaction."""
        if isinstance(given, Connection):
            raise InvalidOptionError(
                "connection",
                f"{self.scheme}:// cannot join a transaction; postgresql:// can. "
                "Enqueue after the commit",
            )

    def copy(self, job: Job) -> Job:
        return job  # SAQ copies before each write, because it rewrites the blob; ours does not

    # SAQ's `enqueue`, `retry` and `finish` call these. Ours override the public ones instead.
    async def _enqueue(self, job: Job) -> Job | None:
        return await self.enqueue(job)

    async def _retry(self, job: Job, error: str | None) -> None:
        await self.retry(job, error)

    async def _finish(
        self, job: Job, status: Status, *, result: Any = None, error: str | None = None
    ) -> None:
        await self.finish(job, status, result=result, error=error)
