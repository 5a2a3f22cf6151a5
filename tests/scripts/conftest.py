"""A folder for the local data, and `make api` and its like on it: a process of their own."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import psutil
import pytest

from scripts.host.postgres import Postgres
from service.migrate import migrate
from tests.cluster import copy_data, new_home
from tests.ports import free_port

ROOT = Path(__file__).parents[2]
MOOR = [sys.executable, "-m", "scripts.cli"]
UP_SECONDS = 60
GONE_SECONDS = 30


def wait_until(is_true: Callable[[], object], what: str, seconds: float = UP_SECONDS) -> None:
    """Fails the test with `what` if it is not true in time."""
    began = time.monotonic()
    while True:
        asked = time.monotonic()
        if is_true():
            return
        assert asked < began + seconds, f"not in {seconds} s: {what}"
        # A question to AWS's APIs keeps this machine busy: it has four fifths of the time without,
        # and what takes long is asked for seldom.
        now = time.monotonic()
        time.sleep(min(max(0.05, 4 * (now - asked), (now - began) / 8), 0.5))


def execute(home: Path, statement: str) -> Any:
    """One statement on the embedded Postgres of `home`; the first value of its answer."""

    async def ask() -> Any:
        connection: asyncpg.Connection = await asyncpg.connect(Postgres(home).url)
        try:
            return await connection.fetchval(statement)
        finally:
            await connection.close()

    return asyncio.run(ask())


class Up:
    """`python -m scripts.local`, leader of its own process group as in a terminal."""

    def __init__(
        self, project: Path, home: Path, part: str, output: Path, environment: dict[str, str]
    ) -> None:
        self.home = home
        self.port = environment["API_PORT"]
        self._output = output
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "scripts.local", part, "--data", str(home)],
                cwd=project,
                env={"PATH": os.environ["PATH"], **environment},  # noqa: TID251
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def postmaster_pid(self) -> int:
        return int((self.home / "postgres" / "postmaster.pid").read_text().split()[0])

    @property
    def output(self) -> str:
        return self._output.read_text()

    def prefixes(self) -> list[str]:
        return [line.partition(" | ")[0].strip() for line in self.output.splitlines()]

    @property
    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def await_up(self) -> "Up":
        wait_until(lambda: "Up in" in self.output or self.has_ended, "up")
        assert not self.has_ended, self.output
        return self

    def await_end(self) -> int:
        return self._process.wait(GONE_SECONDS)

    def signal_group(self, number: signal.Signals) -> None:
        """As a terminal does it: to everybody in the foreground."""
        os.killpg(self.pid, number)

    def end(self) -> None:
        """End it if it still runs."""
        if not self.has_ended:
            self.signal_group(signal.SIGTERM)
            self.await_end()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(GONE_SECONDS)

    def process(self, name: str) -> psutil.Process:
        """Its child that runs `python -m service name`."""
        found = [child for child in self.started() if child.cmdline()[-2:] == ["service", name]]
        assert len(found) == 1, found
        return found[0]

    def started(self) -> list[psutil.Process]:
        """Everything that it has running: children, theirs, and Postgres, which is nobody's."""
        children = psutil.Process(self.pid).children(recursive=True)
        return [*children, psutil.Process(self.postmaster_pid)]

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """The API's answer to a request, which must be a good one."""
        connection = http.client.HTTPConnection("127.0.0.1", int(self.port), timeout=30)
        try:
            connection.request(
                method,
                path,
                body=None if body is None else json.dumps(body),
                headers={"Content-Type": "application/json"},
            )
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, text
        return json.loads(text)


def are_gone(processes: list[psutil.Process]) -> bool:
    return not [
        one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE
    ]


def await_gone(processes: list[psutil.Process]) -> None:
    """Fails the test if one of them is still there after ten seconds.

    What a signal has ended is gone a moment after its parent.
    """
    wait_until(lambda: are_gone(processes), f"{processes} are gone", 10)


def end_server(home: Path) -> None:
    """End the Postgres of `home`, whoever uses it: this process does so itself until its end."""
    if Postgres(home).is_running:
        pid, _ = (home / "postgres" / "postmaster.pid").read_text().split(maxsplit=1)
        postmaster = psutil.Process(int(pid))
        postmaster.send_signal(signal.SIGQUIT)
        wait_until(lambda: are_gone([postmaster]), "gone")


@pytest.fixture
def home(scratch: Path) -> Iterator[Path]:
    """A folder for the local data that does not exist yet; nothing runs on it afterwards."""
    # Not pytest's own: another run may close its folder to the user that Postgres runs as.
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = Path(folder) / "data"
        yield home
        end_server(home)


@pytest.fixture(scope="session")
def migrated(scratch: Path, project: Path) -> Path:
    """The data that an earlier `make worker` has left."""
    server = Postgres(scratch / "migrated")
    new_home(server.home)
    server.start()
    asyncio.run(migrate(server.url, project / "service"))
    server.stop()
    return server.data


@pytest.fixture
def used_home(home: Path, migrated: Path) -> Path:
    """The same with such data: a start on it makes and migrates no database."""
    copy_data(migrated, home / "postgres")
    return home


@pytest.fixture
def up(project: Path, home: Path, tmp_path: Path) -> Iterator[Callable[..., Up]]:
    """Starts one part of the service on `home`; what is left is ended after the test."""
    runs: list[Up] = []

    def start(part: str, **environment: str) -> Up:
        defaults = {"API_PORT": str(free_port())}
        output = tmp_path / f"up-{len(runs)}.log"
        runs.append(Up(project, home, part, output, defaults | environment))
        return runs[-1]

    yield start
    for run in reversed(runs):
        run.end()
