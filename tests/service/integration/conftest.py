"""A queue of this test's database, and the ledger its jobs write."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

import tests.service.tasks
from service.queue.postgres import PostgresQueue
from service.queue.registry import Registry, discover
from tests.conftest import Processes, until


@pytest.fixture(scope="session")
def registry() -> Registry:
    """Every task of the project and of the tests."""
    return discover()


@pytest.fixture
async def queue(database: str, registry: Registry) -> AsyncIterator[PostgresQueue]:
    """A connected queue, as an API process has it."""
    queue = PostgresQueue(database, registry, poll_seconds=1)
    await queue.connect()
    await queue.pool.execute(tests.service.tasks.LEDGER)
    yield queue
    await queue.disconnect()


@dataclass
class Ledger:
    """What jobs wrote down, and the job's rows."""

    pool: asyncpg.Pool

    async def events(self, key: str | None = None) -> list[str]:
        rows = await self.pool.fetch(
            "SELECT event FROM ledger WHERE $1::text IS NULL OR job_key = $1 ORDER BY id", key
        )
        return [row["event"] for row in rows]

    async def tracked(self, key: str) -> dict[str, Any]:
        """The newest row of the job in background_jobs."""
        row = await self.pool.fetchrow(
            "SELECT * FROM background_jobs WHERE key = $1 ORDER BY id DESC LIMIT 1", key
        )
        assert row is not None, f"{key} is not tracked"
        return dict(row)

    async def status(self, key: str) -> str:
        status: str = (await self.tracked(key))["status"]
        return status

    async def until_status(self, key: str, status: str, seconds: float = 15.0) -> dict[str, Any]:
        async def has_status() -> bool:
            return await self.status(key) == status

        await until(has_status, seconds=seconds, what=f"{key} is {status}")
        return await self.tracked(key)

    async def until_event(self, event: str, count: int = 1, seconds: float = 15.0) -> None:
        async def has_event() -> bool:
            return (await self.events()).count(event) >= count

        await until(has_event, seconds=seconds, what=f"{count} x {event}")


@pytest.fixture
def ledger(queue: PostgresQueue) -> Ledger:
    """The ledger of this test's jobs."""
    return Ledger(queue.pool)


@pytest.fixture
async def worker(processes: Processes, ledger: Ledger) -> Any:
    """A worker process that has started."""
    child = processes.start("worker")
    await ledger.until_event("worker start")
    return child
