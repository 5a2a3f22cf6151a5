"""The test stand: servers, fresh databases and processes, for one measurement at a time."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.benchmarks import contenders
from tests.benchmarks.child import Order
from tests.benchmarks.contender import Contender
from tests.benchmarks.server import Postgres, Valkey
from tests.benchmarks.tally import Tally

ROOT = Path(__file__).parents[2]
START_SECONDS = 60.0
RESULT_SECONDS = 90.0
STOP_SECONDS = 5.0


@dataclass
class Child:
    """A process of a contender, from `ready` on."""

    process: asyncio.subprocess.Process

    async def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"go\n")
        await self.process.stdin.drain()

    async def result(self) -> dict[str, Any]:
        """What it measured; a worker is stopped by asking."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        async with asyncio.timeout(RESULT_SECONDS):
            found: dict[str, Any] = json.loads(await self.process.stdout.readline())
        with suppress(TimeoutError):  # SAQ's worker sometimes hangs here; it is killed then
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        return found


@dataclass
class Crew:
    """Running workers."""

    tally: Tally
    children: list[Child]
    results: list[dict[str, Any]] = field(default_factory=list)

    async def ran(self, jobs: int, seconds: float) -> tuple[int, float]:
        """How many jobs have run, and when: at the `jobs`th, or `seconds` after the first."""
        deadline = time.monotonic() + START_SECONDS
        while (done := self.tally.jobs) < jobs:
            now = time.monotonic()
            if done and now - self.tally.first_at > seconds:
                break
            if not done and now > deadline:
                raise RuntimeError(f"no job ran within {START_SECONDS:.0f} s")
            await asyncio.sleep(0.002)
        return done, time.monotonic()

    async def stop(self) -> None:
        self.results = list(await asyncio.gather(*(child.result() for child in self.children)))


class Stand:
    """Where contenders are measured. `fresh` gives each measurement a database of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = Postgres(folder)
        self.valkey = Valkey()
        self._templates: set[str] = set()
        self._databases = 0
        self._last = ""

    def start(self) -> None:
        self.postgres.start()
        self.valkey.start()

    def stop(self) -> None:
        self.valkey.stop()
        self.postgres.stop()

    async def fresh(self, contender: Contender, jobs: int = 0, delayed: int = 0) -> str:
        """The address of a database with the contender's tables and so many waiting jobs."""
        if not contender.uses_postgres:
            await contender.set_up(self.valkey.dsn)
            if jobs:
                await contender.fill(self.valkey.dsn, jobs, delayed)
            return self.valkey.dsn
        if self._last:
            await self.postgres.execute(f"DROP DATABASE {self._last} WITH (FORCE)")
            self._last = ""
        template = await self._template(contender, jobs, delayed)
        self._databases += 1
        name = f"run_{self._databases}"
        await self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        self._last = name
        return self.postgres.dsn(name)

    async def _template(self, contender: Contender, jobs: int, delayed: int) -> str:
        name = f"t_{contender.name}_{jobs}_{delayed}"
        if name in self._templates:
            return name
        origin = await self._template(contender, 0, 0) if jobs else "template0"
        await self.postgres.execute(f"DROP DATABASE IF EXISTS {name}")  # of a fill that failed
        await self.postgres.execute(f"CREATE DATABASE {name} TEMPLATE {origin}")
        dsn = self.postgres.dsn(name)
        if jobs:
            await contender.fill(dsn, jobs, delayed)
        else:
            await contender.set_up(dsn)
        connection = await asyncpg.connect(dsn)
        await connection.execute("VACUUM ANALYZE")  # as autovacuum would have, given a minute
        await connection.close()
        self._templates.add(name)
        return name

    @asynccontextmanager
    async def child(self, order: Order) -> AsyncIterator[Child]:
        """A process that has connected and waits."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "tests.benchmarks.child", order.dump(),
            cwd=ROOT, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            limit=64 * 2**20,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                if await process.stdout.readline() != b"ready\n":
                    raise RuntimeError(f"{order.contender} did not start as {order.role}")
            yield Child(process)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    @asynccontextmanager
    async def crew(
        self, name: str, dsn: str, *, concurrency: int, processes: int = 1
    ) -> AsyncIterator[Crew]:
        """Workers that have started; `Crew.results` is filled when the block has ended."""
        path = self.folder / "tally"
        path.unlink(missing_ok=True)
        tally = Tally(path)
        async with AsyncExitStack() as stack:
            children = await asyncio.gather(
                *(
                    stack.enter_async_context(
                        self.child(
                            Order(
                                contender=name, dsn=dsn, role="work", concurrency=concurrency,
                                tally=str(path), slot=slot,
                            )
                        )
                    )
                    for slot in range(processes)
                )
            )  # fmt: skip
            crew = Crew(tally, list(children))
            yield crew
            await crew.stop()

    async def drain(
        self, name: str, dsn: str, *, jobs: int, seconds: float, concurrency: int,
        processes: int = 1, is_partial: bool = False,
    ) -> dict[str, Any]:  # fmt: skip
        """Jobs a second, from the first job's start until the server says that all are done.

        After `seconds`, or with `is_partial` after `jobs` of more, what has run by then counts.
        """
        contender = contenders.load(name)
        server = self.postgres if contender.uses_postgres else self.valkey
        async with (
            contender.watch(dsn) as is_all_done,
            self.crew(name, dsn, concurrency=concurrency, processes=processes) as crew,
        ):
            cpu = server.cpu_seconds()
            done, ended = await crew.ran(jobs, seconds)
            if done >= jobs and not is_partial:
                while not await is_all_done():
                    await asyncio.sleep(0.002)
                    if time.monotonic() - ended > RESULT_SECONDS:
                        raise RuntimeError("jobs ran, but the server does not say that they ended")
                ended = time.monotonic()
            took = ended - crew.tally.first_at
            cpu = server.cpu_seconds() - cpu
        return {
            "jobs": done,
            "seconds": took,
            "rate": done / took,
            "worker_cpu_us": sum(found["cpu_seconds"] for found in crew.results) / done * 1e6,
            "server_cpu_us": cpu / done * 1e6,
        }
