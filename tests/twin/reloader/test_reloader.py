"""What is saved is served a moment later, by a process of its own, and loses nothing."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest

from scripts.host.sources import Sources
from tests.conftest import OWN, until
from tests.ports import free_port
from tests.scripts.conftest import ROOT

ROUTES = """
from litestar import get

@get("/said")
async def said() -> str:
    return "{text}"

route_handlers = [said]
"""
TASKS = """
import asyncio

from service.queue import Context, task

@task(retries=1)
async def note(ctx: Context, *, seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "{text}"
"""


@dataclass
class Running:
    """A reloader of a checkout with one domain of its own."""

    folder: Path
    process: subprocess.Popen[bytes]
    log: Path
    port: int

    def write(self, file: str, text: str) -> float:
        """Save a file of the domain; the moment when."""
        (self.folder / "service/domain/shown" / file).write_text(text)
        return time.monotonic()

    def said(self) -> str:
        return self.log.read_text()

    def await_line(self, text: str, *, count: int = 1, seconds: float = 60) -> None:
        deadline = time.monotonic() + seconds
        while self.said().count(text) < count:
            assert self.process.poll() is None, self.said()
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.01)


@pytest.fixture
async def db(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
def start(database: str, tmp_path: Path) -> Iterator[Callable[[str], Running]]:
    started: list[Running] = []
    checkout = tmp_path / "checkout"

    def start(name: str) -> Running:
        others = shutil.ignore_patterns("__pycache__", "domain")
        shutil.copytree(ROOT / "service", checkout / "service", ignore=others)
        (checkout / "scripts").symlink_to(ROOT / "scripts")
        (checkout / "stacks").symlink_to(ROOT / "stacks")
        domain = checkout / "service/domain/shown"
        (domain / "jobs").mkdir(parents=True)
        for package in (domain.parent, domain, domain / "jobs"):
            (package / "__init__.py").write_text('"""Of a test."""\n')
        port, log = free_port(), tmp_path / "log"
        given = {
            "PATH": os.environ["PATH"], "STAGE": "local", "DATABASE_URL": database,  # noqa: TID251
            "API_HOST": "127.0.0.1", "API_PORT": str(port), "DRAIN_SECONDS": "20",
            "WORKER_HEARTBEAT_FILE": str(tmp_path / "heartbeat"), "WORKER_POLL_SECONDS": "1",
        }  # fmt: skip
        (domain / "routes.py").write_text(ROUTES.format(text="one"))
        (domain / "jobs/tasks.py").write_text(TASKS.format(text="one"))
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.twin.reloader", name],
                cwd=checkout, env=OWN | given, stdout=output, stderr=output,
            )  # fmt: skip
        started.append(Running(checkout, process, log, port))
        return started[-1]

    yield start
    for each in started:
        each.process.send_signal(signal.SIGTERM)
        each.process.wait(30)


async def test_what_is_saved_is_served_and_no_request_is_refused(
    start: Callable[[str], Running],
) -> None:
    api = start("api")
    api.await_line("api started")
    # A connection that is kept may be closed while a request is on its way; a new one is not.
    async with httpx.AsyncClient(
        base_url=f"http://127.0.0.1:{api.port}", timeout=10, headers={"Connection": "close"}
    ) as client:
        assert (await client.get("/said")).text == "one"
        for text in ("two", "three"):
            saved = api.write("routes.py", ROUTES.format(text=text))
            while (await client.get("/said")).text != text:  # each answers, the old one or the new
                assert time.monotonic() - saved < 30
        took = [float(found) for found in re.findall(r"reloaded in (\S+) s", api.said())]
        assert len(took) == 2, api.said()

        api.write("routes.py", "def broken(:\n")
        api.await_line("not reloaded (service/domain/shown/routes.py)")
        assert "SyntaxError" in api.said()
        assert (await client.get("/said")).text == "three", "the code of before goes on"
        api.write("routes.py", ROUTES.format(text="four"))
        while (await client.get("/said")).text != "four":
            assert api.process.poll() is None
    api.process.send_signal(signal.SIGTERM)
    assert api.process.wait(30) == 0


async def test_a_running_job_ends_in_the_process_of_before(
    start: Callable[[str], Running], db: asyncpg.Connection
) -> None:
    worker = start("worker")
    worker.await_line("worker started")

    async def put(key: str, seconds: float) -> None:
        job = {"function": "note", "key": key, "queue": "default", "kwargs": {"seconds": seconds}}
        await db.execute(
            "INSERT INTO saq_jobs (key, job, queue, status, scheduled) VALUES ($1, $2, 'default',"
            " 'queued', 0)",
            key, json.dumps(job).encode(),
        )  # fmt: skip

    async def row(key: str) -> asyncpg.Record:
        found = await db.fetchrow("SELECT * FROM saq_jobs WHERE key = $1", key)
        assert found is not None
        return found

    async def is_in(key: str, status: str) -> bool:
        return bool((await row(key))["status"] == status)

    await put("long", 4)
    await until(lambda: is_in("long", "active"), seconds=20)
    worker.write("jobs/tasks.py", TASKS.format(text="two"))
    worker.await_line("reloaded in")
    await put("short", 0)
    await until(lambda: is_in("short", "complete"), seconds=20)
    assert b'"two"' in (await row("short"))["job"]
    await until(lambda: is_in("long", "complete"), seconds=20)
    ended = await row("long")
    assert b'"one"' in ended["job"]
    assert ended["attempts"] == 1


def test_files_that_editors_keep_are_no_sources(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    sources = Sources(tmp_path)
    for name in (".a.py.swp", "a.py~", "#a.py#", "a.pyc", "4913.tmp"):
        (tmp_path / name).write_text("x")
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/a.py").write_text("x")
    assert sources.changed() == []
    (tmp_path / "b.py").write_text("2")
    (tmp_path / "a.py").write_text("11")
    assert [path.name for path in sources.changed()] == ["a.py", "b.py"]
    assert sources.changed() == []
    (tmp_path / "b.py").unlink()
    assert [path.name for path in sources.changed()] == ["b.py"]
