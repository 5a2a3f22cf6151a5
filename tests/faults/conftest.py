"""A Postgres on TCP, an arena for each row, and a line of progress for each row that ran."""

import asyncio
import contextlib
import json
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import asyncpg
import pytest

from service.migrate import migrate
from tests.faults.arena import Arena, Place
from tests.faults.engines import Engine, Ours
from tests.faults.results import RESULTS
from tests.faults.row import Row
from tests.faults.server import TcpServer, tcp_server
from tests.scratch import scratch_folder

EnterArena = Callable[[Row, type[Engine], bool], AbstractAsyncContextManager[Arena]]


@pytest.fixture(scope="session")
def tcp_postgres(project: Path) -> Iterator[TcpServer]:
    """The Postgres of the fault list."""
    with scratch_folder("moorage-faults-") as folder, tcp_server(folder / "pg") as server:
        asyncio.run(migrate(server.dsn("template1"), project / "service"))
        yield server


@pytest.fixture
def seed() -> int:
    """What every random choice of a row comes from; FAULTS_SEED repeats one."""
    return int(os.environ.get("FAULTS_SEED") or secrets.randbits(32))  # noqa: TID251


@pytest.fixture
def enter_arena(
    request: pytest.FixtureRequest,
    project: Path,
    tcp_postgres: TcpServer,
    tmp_path: Path,
    seed: int,
) -> EnterArena:
    """Makes the arena of a row; what was measured there is reported however the row ends."""

    @contextlib.asynccontextmanager
    async def enter(row: Row, engine: type[Engine], is_short: bool) -> AsyncIterator[Arena]:
        name = f"row_{time.monotonic_ns()}"
        admin: asyncpg.Connection = await asyncpg.connect(tcp_postgres.dsn())
        source = "template1" if engine is Ours else "template0"
        await admin.execute(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY file_copy")
        await admin.close()
        place = Place(project, tcp_postgres, name, tmp_path)
        arena = Arena(row, engine, place, seed=seed, is_short=is_short)
        started = time.monotonic()
        await arena.open()
        try:
            yield arena
        finally:
            request.node.user_properties.append(
                (
                    "row",
                    {
                        "id": row.id, "engine": engine.name, "seed": seed,
                        "is_short": is_short, "figures": arena.figures,
                        "seconds": round(time.monotonic() - started, 1),
                    },
                )
            )  # fmt: skip
            await arena.close()
            admin = await asyncpg.connect(tcp_postgres.dsn())
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await admin.close()

    return enter


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Progress(config), "faults-progress")


class _Progress:
    """Prints each row with its figures as soon as it has run, and keeps them for the report."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        terminal = self._config.pluginmanager.get_plugin("terminalreporter")
        for name, line in report.user_properties:
            if name != "row" or report.when != "call" or not isinstance(line, dict):
                continue
            figures = " ".join(f"{key}={value}" for key, value in line["figures"].items())
            if terminal is not None:
                terminal.write_line(
                    f"\n{line['id']:<8} {line['engine']:<5} {report.outcome} in {line['seconds']} s"
                    f" (seed {line['seed']}): {figures}"
                )
            if not line["is_short"]:
                RESULTS.parent.mkdir(exist_ok=True)
                with RESULTS.open("a") as file:
                    file.write(json.dumps(line | {"outcome": report.outcome}) + "\n")
