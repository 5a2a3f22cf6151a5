"""What is asked of everybody who takes part."""

import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import ClassVar, Protocol

import asyncpg

OnJob = Callable[[int], None]
BATCH = 1000  # jobs in one call of a bulk enqueue


class Producer(Protocol):
    """A connected client that puts jobs in the queue."""

    async def enqueue(self, sent: int) -> None:
        """One no-op job with the payload {"sent": sent}; returns when it is as safe as it gets."""

    async def enqueue_many(self, count: int) -> None:
        """So many no-op jobs in one call."""


class Contender(ABC):
    """A queue with its no-op task, set up as its authors advise."""

    name: ClassVar[str]
    title: ClassVar[str]
    packages: ClassVar[tuple[str, ...]]
    settings: ClassVar[str]
    promise: ClassVar[str]
    """What holds when the queue says that a job is done."""
    uses_postgres: ClassVar[bool] = True
    has_bulk: ClassVar[bool] = True
    has_worker: ClassVar[bool] = True

    def set_up_logging(self) -> None:
        """Warnings only: what a log line costs is not what is measured."""
        logging.basicConfig(level=logging.WARNING)

    @abstractmethod
    async def set_up(self, dsn: str) -> None:
        """Tables in an empty database."""

    async def fill(self, dsn: str, jobs: int, delayed: int = 0) -> None:
        """Waiting jobs, by whichever way is quick; `delayed` more are due a day later only."""
        assert not delayed, f"{self.name} has no quick way to make delayed jobs"
        async with self.producer(dsn) as producer:
            for start in range(0, jobs, BATCH):
                await producer.enqueue_many(min(BATCH, jobs - start))

    @abstractmethod
    def producer(self, dsn: str) -> AbstractAsyncContextManager[Producer]: ...

    @abstractmethod
    def worker(
        self, dsn: str, concurrency: int, on_job: OnJob
    ) -> AbstractAsyncContextManager[None]:
        """Works inside the block, calling `on_job` in each job."""

    @abstractmethod
    def watch(self, dsn: str) -> AbstractAsyncContextManager[Callable[[], Awaitable[bool]]]:
        """A question to the server: is every job done, as far as it would know after a crash?"""


class PostgresContender(Contender):
    """One that keeps its jobs in Postgres."""

    HAS_UNFINISHED: ClassVar[str]
    """A query for one boolean."""

    @asynccontextmanager
    async def watch(self, dsn: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
        connection = await asyncpg.connect(dsn)

        async def is_all_done() -> bool:
            return not await connection.fetchval(self.HAS_UNFINISHED)

        try:
            yield is_all_done
        finally:
            await connection.close()
