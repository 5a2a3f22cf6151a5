"""What a queue can be asked: its figures, its workers, and the history of its jobs."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import ClassVar

from saq import Status

from service.queue.attempts import Attempt, with_last
from service.queue.causes import Causes
from service.queue.errors import InvalidOptionError, QueueNotFoundError
from service.queue.job import JobRecord
from service.queue.job_filter import JobFilter, RecordPage
from service.queue.named_queues import NamedQueues
from service.queue.relatives import Relatives
from service.queue.schedule_record import Scheduler
from service.queue.waiting import Surroundings, Waiting, why
from service.queue.worker_record import RUNNING_MAX, WorkerRecord
from service.redact import redacted


@dataclass(frozen=True, kw_only=True)
class QueueStats:
    """A queue's figures at one moment; each count stops at 100,000."""

    queued: int  # due and waiting: the backlog
    scheduled: int  # waiting, but not due yet
    active: int
    failed: int  # failed jobs that are still kept
    workers: int  # workers whose lease is live
    oldest_due_seconds: float  # how long the oldest waiting job has been due
    is_paused: bool = False  # no worker fetches from it
    paused_at: datetime | None = None  # None too where the backend does not remember it


@dataclass(frozen=True, kw_only=True)
class MinuteRuns:
    """How many runs of jobs ended in one minute, of all queues."""

    minute: datetime
    complete: int
    failed: int  # jobs without an attempt left
    retried: int


class QueueReads(NamedQueues):
    """The read-only part of a queue, whatever its backend."""

    scheme: ClassVar[str]
    lacks_filters: Mapping[str, str] = MappingProxyType({})
    """The fields of `JobFilter` that this backend cannot look for, each with the reason."""

    scheduler: Scheduler

    async def now(self) -> datetime:
        """The time by the clock that decides what is due. This process's own clock may be wrong."""
        return datetime.fromtimestamp(await self.scheduler.database_now(), UTC)

    @abstractmethod
    async def stats(self) -> QueueStats:
        """The queue's figures now."""

    @abstractmethod
    async def find_record(self, key: str) -> JobRecord | None:
        """The history of the newest job with that key, or None."""

    async def list_records(
        self,
        wanted: JobFilter | None = None,
        /,
        *,
        status: str | None = None,
        task: str | None = None,
        queue: str | None = None,
        before: int | None = None,
        limit: int = 50,
    ) -> list[JobRecord]:
        """The history of at most `limit` jobs, newest first, older than the record id `before`.

        Only jobs that `wanted` leaves; `status`, `task` and `queue` are short for its fields. With
        no queue: those of all, where this is the queue `default`. It reads as many pages of
        `search_records` as it takes, and raises the same.
        """
        wanted = wanted or JobFilter()
        wanted = replace(
            wanted,
            status=status or wanted.status,
            task=task or wanted.task,
            queue=queue or wanted.queue,
        )
        found: list[JobRecord] = []
        while len(found) < limit:
            page = await self.search_records(wanted, before=before, limit=limit - len(found))
            found += page.records
            before = page.before
            if before is None:
                break
        return found

    async def search_records(
        self, wanted: JobFilter | None = None, /, *, before: int | None = None, limit: int = 50
    ) -> RecordPage:
        """The same at a bounded cost: a page may have fewer jobs although more are further back.

        Raises `InvalidOptionError` for a filter that this backend does not have.
        """
        wanted = wanted or JobFilter()
        for name, reason in self.lacks_filters.items():
            if getattr(wanted, name):
                raise InvalidOptionError(name, f"{self.scheme}:// {reason}")
        page = await self._search(wanted, before=before, limit=limit)
        if (text := wanted.error) is None:
            return page
        # A password in an error is hidden: whether a text is found must not tell it.
        shown = [each for each in page.records if text in str(redacted(each.error))]
        return replace(page, records=shown)

    @abstractmethod
    async def _search(self, wanted: JobFilter, *, before: int | None, limit: int) -> RecordPage:
        """The page, of filters that this backend has."""

    def _stored_keys(self, wanted: JobFilter) -> list[str]:
        """The forms in which queues store the key that is asked for, or its beginning."""
        key = wanted.key if wanted.key_start is None else wanted.key_start
        if key is None:
            return []
        return list(dict.fromkeys((key, *(each.own_key(key) for each in self.searched))))

    async def attempts(self, record: JobRecord) -> list[Attempt]:
        """The job's attempts, the oldest first: the last one, and at most twenty before it."""
        return with_last(await self._earlier_attempts(record), record)

    @abstractmethod
    async def _earlier_attempts(self, record: JobRecord) -> list[Attempt]:
        """The attempts before the one of which the record says, the oldest first."""

    async def why_waiting(self, record: JobRecord) -> Waiting | None:
        """Why the job waits, and what to do; None where it does not."""
        if record.status != Status.QUEUED:
            return None
        found = await self.around(record)
        return None if found is None else why(record, found)

    async def around(self, record: JobRecord) -> Surroundings | None:
        """What is known of the job's queue; None where the job does not wait any more."""
        now = await self.now()
        try:
            stats = await self.named(record.queue).stats()
        except QueueNotFoundError:
            return Surroundings(now=now, is_paused=False, workers=0)
        return Surroundings(
            now=now,
            is_paused=stats.is_paused,
            workers=stats.workers,
            jobs_waiting=stats.queued,
        )

    @abstractmethod
    async def live_workers(self) -> dict[str, int]:
        """The number of live workers of each worker pool, by its name."""

    @abstractmethod
    async def relatives(self, record: JobRecord) -> Relatives:
        """The job that has enqueued this one, and those that it has enqueued itself."""

    @abstractmethod
    async def causes(self, *, task: str | None = None) -> Causes:
        """Why the newest failed and aborted jobs have ended, of one task or all."""

    @abstractmethod
    async def list_workers(self) -> list[WorkerRecord]:
        """The live workers, by pool and age, at most 500."""

    async def running(self) -> dict[str, list[JobRecord]]:
        """The running jobs by their worker; at most about a thousand, the newest."""
        found: dict[str, list[JobRecord]] = {}
        for status in ("active", "aborting"):
            for job in await self.list_records(status=status, limit=RUNNING_MAX):
                if job.worker_id is not None:
                    found.setdefault(job.worker_id, []).append(job)
        return found

    @abstractmethod
    async def read_runs(self, hours: float) -> list[MinuteRuns]:
        """The runs that ended in each of the last minutes, of all workers, the oldest first.

        A minute without any is left out. They are kept for eight days.
        """
