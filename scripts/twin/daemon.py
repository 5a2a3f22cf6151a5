"""The parts of the twin in one process, from their start to their end."""

import logging
import os
import shutil
import socket
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from scripts.errors import OperatorError
from scripts.twin.cloud.backends import Backends
from scripts.twin.cloud.server import HOST, Cloud
from scripts.twin.guard import Guard
from scripts.twin.pids import birth
from scripts.twin.postgres import Postgres
from scripts.twin.settings import ACCOUNT, REGION, Twin, folder, state_file
from scripts.twin.shell import write_docker, write_env
from service.contract import API_PORT, STOP_TIMEOUT_SECONDS

log = logging.getLogger("twin")

PORTS_TRIED = 100
# In the order in which they start; they stop the other way round.
PARTS = {
    "scripts.twin.balancer": "Balancer",
    "scripts.twin.metadata": "Metadata",
    "scripts.twin.agent": "Agent",
    "scripts.twin.metrics": "Metrics",
}


class Part(Protocol):
    """What runs for as long as the twin, in threads of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Daemon:
    """The twin of one checkout; its data is in `home`."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self._postgres = Postgres(home)
        self._guard: Guard | None = None
        self._parts: list[Part] = []

    def start(self) -> None:
        """Everything runs, and is written down, when this returns."""
        folder(self.home).mkdir(parents=True, exist_ok=True)
        self._guard = Guard(self.home, seconds=STOP_TIMEOUT_SECONDS, lock=None)
        self._postgres.start()
        cloud = Cloud(database=self._postgres)
        twin = Twin(
            home=self.home,
            account=ACCOUNT,
            region=REGION,
            endpoint=cloud.endpoint,
            url=f"http://localhost:{first_free_port(API_PORT)}",
            agent_url=f"http://{HOST}:{free_port()}",
            images=folder(self.home) / "images",
            python=Path(sys.executable),
            postgres_port=self._postgres.port,
            pid=os.getpid(),
            started=birth(os.getpid()) or "",
        )
        # AWS's state begins anew, and with it which images there are.
        shutil.rmtree(twin.images, ignore_errors=True)
        twin.images.mkdir()
        write_docker(self.home)
        write_env(twin)
        os.environ.update(twin.environment)
        self._run(cloud)
        for module, name in PARTS.items():
            if find_spec(module):
                kind = getattr(import_module(module), name)
                self._run(kind(Backends(ACCOUNT, REGION), twin, self._guard))
        twin.save()
        log.info("up: AWS at %s, the load balancer at %s", twin.endpoint, twin.url)

    def stop(self) -> None:
        """Stop what was started, the last first; one that fails does not keep the others."""
        log.info("stopping")
        for part in reversed(self._parts):
            try:
                part.stop()
            except Exception:
                log.exception("%s did not stop", type(part).__name__)
        state_file(self.home).unlink(missing_ok=True)
        self._postgres.stop()
        if self._guard:
            self._guard.dismiss()
        log.info("stopped")

    def _run(self, part: Part) -> None:
        part.start()
        self._parts.append(part)


def first_free_port(port: int) -> int:
    """`port`, or the next that nobody listens on. Raises `OperatorError` where none is."""
    for candidate in range(port, port + PORTS_TRIED):
        try:
            socket.create_server((HOST, candidate)).close()
        except OSError:
            continue
        return candidate
    raise OperatorError(f"no port from {port} to {port + PORTS_TRIED - 1} is free")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port
