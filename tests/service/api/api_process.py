"""The API as a real process on a free port."""

import asyncio
import concurrent.futures
import contextlib
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from service.testing.databases import copy_of, with_user
from tests.conftest import APPLICATION, Processes
from tests.ports import free_port
from tests.prefork import Child

API_KEY = "a-test-key-of-thirty-two-letters"
UI_LOGIN = ("operator", "a-test-password-of-some-length")


@dataclass(frozen=True)
class Api:
    """A running API, with its client, its log and its database."""

    url: str
    process: Child
    processes: Processes

    @property
    def port(self) -> int:
        return httpx.URL(self.url).port or 80

    def client(self, **headers: str) -> httpx.Client:
        return httpx.Client(base_url=self.url, headers=headers, timeout=20)

    def log(self) -> str:
        return self.processes.log(self.process)

    def log_with(self, text: str) -> str:
        """The log once it has `text`, which may come a moment after the answer."""
        deadline = time.monotonic() + 30
        while text not in (log := self.log()):
            if time.monotonic() > deadline:
                pytest.fail(f"not in the log: {text}\n{log}")
            time.sleep(0.02)
        return log

    def sql(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """The rows of a statement on the API's database, as its owner."""

        async def run() -> list[asyncpg.Record]:
            connection = await asyncpg.connect(with_user(self.processes.dsn, "postgres"))
            try:
                return await connection.fetch(statement, *arguments)
            finally:
                await connection.close()

        # In a thread: the test may have an event loop of its own.
        with concurrent.futures.ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, run()).result()


def start_api(processes: Processes, **environment: str) -> Api:
    """An API process that answers; it ends with `processes`."""
    port = free_port()
    process = processes.start("api", API_PORT=str(port), LOG_FORMAT="json", **environment)
    api = Api(f"http://127.0.0.1:{port}", process, processes)
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{api.url}/health/live", timeout=5)
            return api
        except httpx.TransportError:
            if process.poll() is not None or time.monotonic() > deadline:
                pytest.fail(f"the API did not start:\n{api.log()}")
            time.sleep(0.05)


@contextlib.contextmanager
def shared_processes(
    project: Path, postgres: str, template: str, folder: Path
) -> Iterator[Processes]:
    """Processes of `project` on one database; they end with the block."""
    # One loop for both ends of the context, while the tests in between have their own.
    with asyncio.Runner() as runner:
        database = copy_of(postgres, template)
        dsn = runner.run(database.__aenter__())
        processes = Processes(project, with_user(dsn, APPLICATION), folder)
        yield processes
        processes.stop_all()
        runner.run(database.__aexit__(None, None, None))
