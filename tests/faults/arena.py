"""Where a row takes place: one database, one engine, its worker processes and both ledgers."""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.faults import checker
from tests.faults.engines import Engine
from tests.faults.ledger import Ledger
from tests.faults.measures import Measures
from tests.faults.proxy import Proxy
from tests.faults.row import BoundBroken, Row
from tests.faults.server import HOST, TcpServer
from tests.faults.tasks import LEDGER_VARIABLE
from tests.faults.workers import Fleet, WorkerProcess


@dataclass(frozen=True)
class Place:
    """What a row's arena is made of."""

    project: Path
    server: TcpServer
    database: str
    folder: Path


class Arena(Measures):
    """What a scenario has to hand; whatever it starts is ended by `close`."""

    database: asyncpg.Pool  # the checker's own way to the row's database

    def __init__(
        self, row: Row, engine: type[Engine], place: Place, *, seed: int, is_short: bool
    ) -> None:
        super().__init__(row, engine.name, seed)
        self.server, self.database_name = place.server, place.database
        self.engine = engine(place.server.dsn(place.database))
        self.is_short = is_short
        self.random = random.Random(seed)
        self.ledger = Ledger(place.folder / "ledger")
        self.proxy = Proxy((HOST, place.server.port))
        self.fleet = Fleet(place.project, place.folder)
        self.acknowledged: set[str] = set()  # keys of jobs that must run to their end
        self.victims: set[int] = set()  # pids of workers that were hurt

    async def open(self) -> None:
        await self.proxy.start()
        await self.engine.open()
        self.database = await self.observe(self.server)

    async def close(self) -> None:
        self.fleet.end()
        await self.engine.close()
        self.database.terminate()
        await self.proxy.stop()

    async def observe(self, server: TcpServer) -> asyncpg.Pool:
        """The checker's own connections to the row's database."""
        return await asyncpg.create_pool(
            server.dsn(self.database_name), min_size=0, max_size=2, timeout=5, command_timeout=120,
            server_settings={"application_name": "checker"},
        )  # fmt: skip

    def dsn_through_proxy(self, user: str = "") -> str:
        return self.server.dsn(self.database_name, port=self.proxy.port, user=user)

    async def enqueue_through_proxy(self) -> None:
        """From now on the client meets the network's faults as well."""
        await self.engine.close()
        self.engine = type(self.engine)(self.dsn_through_proxy())
        await self.engine.open()

    def size(self, full: int, short: int) -> int:
        return short if self.is_short else full

    def spawn(
        self,
        environment: Mapping[str, str] | None = None,
        *,
        concurrency: int = 10,
        drain_seconds: int = 20,
        command: tuple[str, ...] = (),
        is_forked: bool = False,
    ) -> WorkerProcess:
        """A process, a worker unless told otherwise; it reaches Postgres through the proxy."""
        defaults = {
            "DATABASE_URL": self.dsn_through_proxy(),
            "WORKER_CONCURRENCY": str(concurrency),
            "DRAIN_SECONDS": str(drain_seconds),
            LEDGER_VARIABLE: str(self.ledger.path),
        }
        return self.fleet.spawn(
            command or self.engine.command,
            defaults | dict(environment or {}),
            is_forked=is_forked,
        )

    async def start_workers(
        self,
        count: int = 1,
        environment: Mapping[str, str] | None = None,
        *,
        concurrency: int = 10,
        drain_seconds: int = 20,
    ) -> list[WorkerProcess]:
        """Worker processes that have started; in short their imports are spared."""
        started = [
            self.spawn(
                environment, concurrency=concurrency, drain_seconds=drain_seconds,
                is_forked=self.is_short,
            )
            for _ in range(count)
        ]  # fmt: skip
        pids = {worker.pid for worker in started}
        await self.wait(
            lambda: pids <= {line["pid"] for line in self.ledger.events("worker start")},
            "the workers have started",
        )
        return started

    def hurt(self, worker: WorkerProcess, signum: signal.Signals) -> float:
        """Send a signal that the worker cannot answer for; when."""
        self.victims.add(worker.pid)
        worker.send(signum)
        return time.monotonic()

    async def enqueue(self, task: str = "work", count: int = 1, **options: Any) -> list[str]:
        """Enqueue jobs that must run to their end; their keys, once acknowledged."""
        keys: list[str] = []
        while len(keys) < count:
            some = range(min(100, count - len(keys)))
            found = await asyncio.gather(*(self.engine.enqueue(task, **options) for _ in some))
            assert None not in found, "a key of its own is never taken"
            keys += [key for key in found if key is not None]
        self.acknowledged.update(keys)
        return keys

    def hurry(self) -> None:
        """From now on jobs take no time."""
        self.ledger.path.with_suffix(".hurry").touch()

    def has_begun(self, *keys: str, after: float = 0.0) -> bool:
        """Has each of these jobs begun, or any job at all, after that time?"""
        begun = {run.key for run in self.ledger.runs() if run.started_at > after}
        return begun >= set(keys) if keys else bool(begun)

    def has_ended(self, *keys: str) -> bool:
        return {run.key for run in self.ledger.runs() if run.ended_at} >= set(keys)

    async def is_at_rest(self) -> bool:
        """Have all jobs ended? Not that anybody knows, while the database is away."""
        try:
            return await checker.count_unended(self.database) == 0
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            return False

    async def at_rest(self, seconds: float) -> None:
        """Wait until no job is left to do, then check what must hold after every fault."""
        with contextlib.suppress(BoundBroken):  # what is missing is counted below
            await self.wait(self.is_at_rest, "at rest", seconds)
        await self.check()

    async def check(self) -> None:
        """The invariants; every one is recorded before the first broken one is raised."""
        runs = self.ledger.runs()
        budget = (len(self.fleet.alive) + 1) * self.engine.connections_of_worker
        found = {
            "lost": checker.count_lost(self.acknowledged, runs),
            "ended_twice": checker.count_ended_twice(runs, self.victims),
            "starts_unexplained": checker.count_unexplained_starts(runs, self.victims),
            "overlaps": checker.count_overlaps(runs, self.victims),
            "unended": await checker.count_unended(self.database),
            "connections_over": max(await checker.count_connections(self.database) - budget, 0),
        }
        if self.engine_name == "ours":
            found["history_differs"] = await checker.count_history_differs(self.database)
            found["misplaced"] = await checker.count_misplaced(self.database)
        if found["unended"]:
            rows = await checker.fetch_unended(self.database)
            (self.fleet.folder / "unended").write_text("\n".join(repr(row) for row in rows))
        broken = []
        for figure, count in found.items():
            try:
                self.hold(figure, count)
            except BoundBroken as error:
                broken.append(str(error))
        if broken:
            raise BoundBroken("; ".join(broken))
