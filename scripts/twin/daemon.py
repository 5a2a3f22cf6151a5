"""Runs all parts of the twin in one process."""

import logging
import os
import secrets
import shutil
import sys
from pathlib import Path
from typing import Protocol

from scripts.errors import OperatorError
from scripts.host.address import Address
from scripts.host.guard import Guard
from scripts.host.loopback import V4, addresses, free_port
from scripts.host.pid_lock import PidLock
from scripts.host.pids import birth
from scripts.host.postgres import Postgres
from scripts.host.postgres_user import make_private
from scripts.release import release
from scripts.twin.autoscaling.autoscaler import Scaling
from scripts.twin.backends import Backends
from scripts.twin.client.shell import write_docker, write_env, write_programs
from scripts.twin.client.state import ACCOUNT, REGION, Twin, folder, state_file
from scripts.twin.cloud.server import Cloud
from scripts.twin.cloudwatch.metrics import Metrics
from scripts.twin.ecs.agent import Agent
from scripts.twin.ecs.metadata import Metadata
from scripts.twin.elb.balancer import Balancer
from scripts.twin.iam.access_keys import AccessKey
from scripts.twin.iam.judge import Judge
from service.contract import API_PORT, STOP_TIMEOUT_SECONDS

log = logging.getLogger("twin")

PORTS_TRIED = 100
# In the order of their start; they stop in the reverse order.
PARTS = (Balancer, Metadata, Agent, Metrics, Scaling)


class Part(Protocol):
    """A part that runs as long as the twin, in threads of its own."""

    def start(self) -> None: ...

    def stop(self) -> None: ...


class Daemon:
    """The twin of one checkout. Its data is in `home`; its load balancer listens on `port`, or on
    the next free one.

    `lock` is the descriptor of its lock, if another process has taken it for this one.
    """

    def __init__(self, home: Path, port: int = API_PORT, lock: int | None = None) -> None:
        self.home = home
        self._wanted_port = port
        self._postgres = Postgres(home)
        self._lock = PidLock(home, "twin", lock)
        self._guard: Guard | None = None
        self._parts: list[Part] = []

    def start(self) -> None:
        """Start every part, and then write the state file."""
        make_private(self.home)
        make_private(folder(self.home))
        if not self._lock.take():
            raise OperatorError(f"another twin runs in {self.home} (process {self._lock.holder})")
        state_file(self.home).unlink(missing_ok=True)  # left by a twin that was killed
        self._guard = Guard(self.home, seconds=STOP_TIMEOUT_SECONDS, lock=self._lock.file)
        self._postgres.start()
        url = f"http://localhost:{first_free_port(self._wanted_port)}"
        key = AccessKey.new()
        judge = Judge(self.home)
        cloud = Cloud(
            key=key,
            database=self._postgres,
            balancer=url.removeprefix("http://"),
            judge=judge,
        )
        twin = Twin(
            home=self.home,
            account=ACCOUNT,
            region=REGION,
            endpoint=cloud.endpoint,
            access_key=key.id,
            secret_key=key.secret,
            url=url,
            agent_url=f"http://{V4}:{free_port()}/{secrets.token_urlsafe(24)}",
            images=folder(self.home) / "images",
            python=Path(sys.executable),
            postgres_port=self._postgres.port,
            release=release(),
            pid=os.getpid(),
            started=birth(os.getpid()) or "",
        )
        # moto's state is empty at the start, so images and ECS tasks of before are not known.
        for left in (twin.images, folder(self.home) / "tasks"):
            shutil.rmtree(left, ignore_errors=True)
        twin.images.mkdir()
        write_docker(self.home)
        write_programs(self.home)
        write_env(twin)
        os.environ.update(twin.environment)
        self._run(cloud)
        for kind in PARTS:
            self._run(kind(Backends(ACCOUNT, REGION, judge), twin, self._guard))
        twin.save()
        log.info("up: AWS at %s, the load balancer at %s", twin.endpoint, twin.url)

    def stop(self) -> None:
        """Stop every part, the last first, even where one fails."""
        # First, so that no `moor up` uses this twin. Without a guard the file is another twin's.
        if self._guard:
            state_file(self.home).unlink(missing_ok=True)
        log.info("stopping")
        for part in reversed(self._parts):
            try:
                part.stop()
            except Exception:
                log.exception("%s did not stop", type(part).__name__)
        if self._guard:
            self._postgres.stop()
            self._guard.dismiss()
        log.info("stopped")

    def _run(self, part: Part) -> None:
        part.start()
        self._parts.append(part)


def first_free_port(port: int) -> int:
    """`port`, or the next free one. Raises `OperatorError` where there is none."""
    for candidate in range(port, port + PORTS_TRIED):
        try:
            Address(V4, candidate).check_free()
            addresses(candidate)
        except (OperatorError, OSError):
            continue
        return candidate
    raise OperatorError(f"no port from {port} to {port + PORTS_TRIED - 1} is free")
