"""The two contenders behind one face: our engine, and stock SAQ as the negative control."""

from abc import ABC, abstractmethod
from typing import Any

import asyncpg
from saq import Job
from saq.queue.base import Queue
from saq.queue.postgres import PostgresQueue as StockQueue

import tests.faults.tasks  # noqa: F401 - registers
from service.queue import PostgresQueue, discover
from tests.sample import PACKAGE

JOB_OPTIONS = {"timeout": 60, "retries": 3}  # ours has them by default; stock is given the same


class Engine(ABC):
    """A client in this process, and how a worker process is started."""

    name: str
    command: tuple[str, ...]  # what Python runs as a worker
    connections_of_worker: int

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self.queue = self.create_queue()

    async def open(self) -> None:
        await self.queue.connect()

    async def close(self) -> None:
        await self.queue.disconnect()

    async def enqueue(self, task: str, **options: Any) -> str | None:
        """The key of the job once its enqueue is acknowledged; None where the key is taken."""
        job: Job | None = await self.queue.enqueue(task, **JOB_OPTIONS | options)
        return None if job is None else job.key

    @abstractmethod
    async def enqueue_in(
        self, connection: asyncpg.Connection, task: str, **options: Any
    ) -> str | None:
        """The same inside the caller's transaction, as far as the engine can."""

    @abstractmethod
    def create_queue(self) -> Queue:
        """A client of its own connections."""


class Ours(Engine):
    """`python -m service worker`, with the tasks of the fault list."""

    name = "ours"
    command = ("-m", "tests.faults.process", "worker")
    connections_of_worker = 4 + 2 + 10  # the queue's pool, LISTEN and lease, the application's

    async def enqueue_in(
        self, connection: asyncpg.Connection, task: str, **options: Any
    ) -> str | None:
        return await self.enqueue(task, connection=connection, **options)

    def create_queue(self) -> PostgresQueue:
        return PostgresQueue(self.dsn, discover(PACKAGE))


class Stock(Engine):
    """`saq`, as it is installed."""

    name = "stock"
    command = ("-m", "saq", "tests.faults.stock.settings", "-v")
    connections_of_worker = 20

    async def enqueue_in(
        self, connection: asyncpg.Connection, task: str, **options: Any
    ) -> str | None:
        return await self.enqueue(task, **options)  # always on a connection of its own

    def create_queue(self) -> StockQueue:
        return StockQueue.from_url(self.dsn)
