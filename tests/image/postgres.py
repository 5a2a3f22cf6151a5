"""A Postgres that containers reach: on TCP, with a password, behind TLS.

The embedded one speaks no TLS itself, so something in front of it does.
"""

import asyncio
import contextlib
import secrets
import shutil
import subprocess
import threading
from concurrent.futures import Future
from pathlib import Path

from scripts.host.postgres_programs import programs
from scripts.host.postgres_user import Owner
from tests.faults.tls import TlsFront
from tests.ports import free_port


class Server:
    """Its data is in `folder`, for as long as it runs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._data = folder / "postgres"
        self._owner = Owner.of(self._data)
        self._port = free_port()
        self._password = secrets.token_urlsafe()

    def start(self, certificate: Path) -> str:
        """The address behind TLS; `certificate` holds its key too."""
        self._owner.open_folders(self._data, programs())
        self._owner.make_empty_folder(self._data)
        password = self.folder / "password"
        password.write_text(self._password)
        if self._owner.is_other_user:
            shutil.chown(password, self._owner.uid)
        self._owner.run(
            programs() / "initdb",
            f"--pgdata={self._data}",
            "--username=postgres",
            "--auth=scram-sha-256",
            f"--pwfile={password}",
            "--no-sync",
        )
        self._control(
            "start",
            f"--log={self._data / 'server.log'}",
            f"--options=-h 127.0.0.1 -p {self._port} -k '' -F",
        )
        front: Future[int] = Future()
        served = serve(TlsFront(("127.0.0.1", self._port), certificate), front)
        threading.Thread(target=asyncio.run, args=[served], daemon=True).start()
        return f"postgresql://postgres:{self._password}@localhost:{front.result(10)}/postgres"

    def stop(self) -> None:
        with contextlib.suppress(subprocess.CalledProcessError):  # it did not start
            self._control("stop", "--mode=immediate")

    def _control(self, command: str, *options: str) -> None:
        self._owner.run(
            programs() / "pg_ctl", command, "--wait", f"--pgdata={self._data}", *options
        )


async def serve(front: TlsFront, port: "Future[int]") -> None:
    """Until the program ends."""
    async with front as listening:
        port.set_result(listening)
        await asyncio.Event().wait()
