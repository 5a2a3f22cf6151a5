"""The base of the queues with a database, wherever their jobs are."""

from abc import abstractmethod
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, ClassVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from saq import Job

from service.contract import QUEUE_NAME
from service.db import Connection
from service.queue.attempts import Attempt
from service.queue.bulk_action import BulkAction
from service.queue.causes import Causes
from service.queue.errors import WorkerNotFoundError, WorkerStateError
from service.queue.interface import PAUSES, JobQueue
from service.queue.job import JobRecord
from service.queue.job_filter import JobFilter, RecordPage
from service.queue.reads import MinuteRuns
from service.queue.relatives import Relatives
from service.queue.tables import table_statements
from service.queue.tables.bulk_table import BulkTable
from service.queue.tables.connections import Database
from service.queue.tables.job_history import find_job, read_attempts, read_causes, read_relatives
from service.queue.tables.job_search import search_jobs
from service.queue.worker_record import WorkerRecord


class TableQueue(JobQueue):
    """A queue whose history and schedules are in Postgres."""

    lacks_bulk: ClassVar[Mapping[str, str]] = MappingProxyType({})
    """The bulk actions that this backend cannot do, each with the reason."""

    channel: str
    database: Database

    @property
    def pool(self) -> asyncpg.Pool:
        """The connections to that database. Raises `RuntimeError` before `connect`."""
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
    async def notify_workers(self, message: str) -> None:
        """Send `message` to every worker of this queue."""

    @abstractmethod
    async def enqueue_ticks(self, jobs: list[Job], connection: Connection) -> list[Job | None]:
        """Enqueue the jobs of ticks. The schedules move on when `connection` commits."""

    @cached_property
    def bulk(self) -> BulkTable:
        """The bulk actions; `bulk_runner.py` makes them."""
        return BulkTable(self.database, self.lacks_bulk)

    @abstractmethod
    async def change_jobs(
        self, action: BulkAction, jobs: Mapping[int, tuple[str, str]], place: int
    ) -> BulkAction | None:
        """Do to these jobs what the action says, and note that it has come to `place`.

        `jobs` are queue and key by the job's number; others than those that fit the action stay as
        they are. Returns how far it has come; None where it is not for this process to do any more.
        """

    @abstractmethod
    async def restore_jobs(
        self, action: BulkAction, undone: BulkAction, was: list[dict[str, Any]], place: int
    ) -> BulkAction | None:
        """Undo a step of `undone`: change jobs back to what they were; else as `change_jobs`."""

    async def wake_for(self, keys: list[str]) -> None:
        """Let workers know that these jobs of this queue can be run now."""
        await self.notify_workers("saq:enqueue")

    async def find_record(self, key: str) -> JobRecord | None:
        for queue in self.searched:
            for each in dict.fromkeys((queue.own_key(key), key)):
                if found := await find_job(self.pool, queue.name, each):
                    return found
        return None

    async def _earlier_attempts(self, record: JobRecord) -> list[Attempt]:
        return await read_attempts(self.pool, record.id)

    async def _search(self, wanted: JobFilter, *, before: int | None, limit: int) -> RecordPage:
        # Not the names in `searched`: a job of a queue that is no longer in the code is shown too.
        if wanted.queue is None and self.name != QUEUE_NAME:
            wanted = replace(wanted, queue=self.name)
        keys = self._stored_keys(wanted)
        return await search_jobs(self.pool, wanted, keys, before=before, limit=limit)

    async def pause(self) -> None:
        await self.fetch(table_statements.PAUSE, self.name, self.channel, PAUSES)

    async def resume(self) -> None:
        await self.fetch(table_statements.RESUME, self.name, self.channel, PAUSES)

    async def live_workers(self) -> dict[str, int]:
        rows = await self.fetch(table_statements.LIVE_WORKERS, self._first.name)
        return {row["pool"]: row["workers"] for row in rows}

    async def relatives(self, record: JobRecord) -> Relatives:
        return await read_relatives(self.pool, record)

    async def causes(self, *, task: str | None = None) -> Causes:
        return await read_causes(self.pool, task)

    async def list_workers(self) -> list[WorkerRecord]:
        rows = await self.fetch(table_statements.LIST_WORKERS, self._first.name)
        return [WorkerRecord(**{**row, "queues": tuple(row["queues"])}) for row in rows]

    async def drain_worker(self, name: str) -> None:
        if await self.fetch(table_statements.DRAIN, name, self._first.name, PAUSES):
            return
        if any(each.id == name for each in await self.list_workers()):
            raise WorkerStateError(name)
        raise WorkerNotFoundError(name)

    def renewal(self, seconds: float) -> tuple[Any, ...]:
        """The arguments of RENEW for this process's worker."""
        return (
            self.owner, self.name, seconds, self.served.names, self.worker_pool, self.slots,
            self.on_drain is not None,
        )  # fmt: skip

    async def note_runs(self, complete: int, failed: int, retried: int) -> None:
        await self.fetch(table_statements.NOTE_RUNS, self.worker_pool, complete, failed, retried)

    async def read_runs(self, hours: float) -> list[MinuteRuns]:
        return [MinuteRuns(**row) for row in await self.fetch(table_statements.READ_RUNS, hours)]

    async def claim_report(self, seconds: float) -> bool:
        return bool(await self.fetch(table_statements.CLAIM_REPORT, self.name, seconds))
