"""Runs one ECS task from its first to its last status, in a thread of its own."""

import logging
import shutil
import socket
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.host.guard import Guard
from scripts.twin.backends import Backends
from scripts.twin.client.shell import ROOT
from scripts.twin.client.state import MINUTE_SECONDS, Twin
from scripts.twin.ecs.awslogs import Lines
from scripts.twin.ecs.container import PENDING, STOPPED, CannotStartError, Container
from scripts.twin.ecs.container_environment import environment_of, folder_of
from scripts.twin.ecs.container_order import may_start, may_stop
from scripts.twin.ecs.health_check import HEALTHY, UNHEALTHY, UNKNOWN
from scripts.twin.ecs.moto_ecs import EcsBackend
from scripts.twin.ecs.target_registration import HOST, Registration
from scripts.twin.ecs.task_record import RUNNING, ask_to_stop, now
from scripts.twin.ecs.task_roles import TaskRoles
from service.contract import ProcessName

log = logging.getLogger("twin.agent")

POLL_SECONDS = 0.1
# Without a health check, ECS counts an ECS task as healthy after 40 seconds.
HEALTHY_AFTER_SECONDS = 40 * MINUTE_SECONDS / 60
FAILED_TO_START = "TaskFailedToStart"
EXITED = "EssentialContainerExited"
SIGN_IN = "ecr:GetAuthorizationToken"
PULL = ("ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer")
ENTRYPOINT = ["-m", "service"]  # the image's entry point after `python`
RELOADER = "scripts.twin.reloader"


@dataclass(frozen=True)
class Place:
    """The parts of the twin that every ECS task needs."""

    ecs: EcsBackend
    backends: Backends
    twin: Twin
    guard: Guard
    lines: Lines


class EcsTask:
    """Runs the containers of moto's `record`, and writes their state into it."""

    def __init__(self, record: Any, place: Place) -> None:
        self.record, self._place = record, place
        self._roles = TaskRoles.of(record, place.backends)
        self.registration: Registration | None = None
        self.was_healthy = False
        self.is_counted = False  # as a failure of its deployment
        self.port = _free_port()
        self._containers: dict[str, Container] = {each.name: each for each in record.containers}
        self._running_since: float | None = None
        self._changed = threading.Event()
        self._stop_seconds_max = float("inf")
        self._thread = threading.Thread(target=self._run, name=f"task {record.id}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, code: str, reason: str, *, seconds_max: float = float("inf")) -> bool:
        """Begin to stop; `seconds_max` limits the stopTimeouts. False if it is stopping already."""
        with self._place.ecs.lock:
            is_new = ask_to_stop(self.record, code, reason)
        self._stop_seconds_max = min(self._stop_seconds_max, seconds_max)
        self._changed.set()
        return is_new

    def join(self, seconds: float) -> None:
        self._thread.join(seconds)

    @property
    def is_wanted(self) -> bool:
        return bool(self.record.desired_status == RUNNING)

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    @property
    def is_running(self) -> bool:
        return bool(self.record.last_status == RUNNING)

    @property
    def running_seconds(self) -> float:
        return 0 if self._running_since is None else time.monotonic() - self._running_since

    @property
    def is_healthy(self) -> bool:
        """Does a deployment count it as healthy? By its health checks and the load balancer; with
        neither, when it has run for long enough."""
        if not self.is_running or not self.is_wanted:
            return False
        if any(each.health for each in self._containers.values() if each.is_essential):
            if self.record.health_status != HEALTHY:
                return False
        elif self.registration is None:
            return self.running_seconds >= HEALTHY_AFTER_SECONDS
        return self.registration is None or self.registration.is_healthy

    @property
    def has_failed(self) -> bool:
        """Did it end by itself before it was healthy?"""
        return not self.was_healthy and self.record.stop_code in {FAILED_TO_START, EXITED}

    def _run(self) -> None:
        try:
            self._prepare()
            while self.is_wanted:
                self._update()
                self._changed.wait(POLL_SECONDS)
                self._changed.clear()
        except CannotStartError as error:
            self.stop(FAILED_TO_START, str(error))
        except Exception:
            log.exception("ECS task %s", self.record.id)
            self.stop(FAILED_TO_START, "The local twin failed; its log says how.")
        finally:
            self._place.ecs.asked.set()
            self._end()

    def _prepare(self) -> None:
        self.record.last_status = PENDING
        self.record.pull_started_at = now()
        self._roles.check_trust()
        self._sign_in()
        for container in self._containers.values():
            if not self._folder(container).is_dir():
                raise CannotStartError(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                    f"failed to resolve ref {container.image}: {container.image}: not found"
                )
        self.record.pull_stopped_at = now()
        folder_of(self.record.id, self._place.twin).mkdir(parents=True, exist_ok=True)

    def _sign_in(self) -> None:
        """Ask for the rights to the images in ECR, as ECS does before it pulls them."""
        rights = {}
        for container in self._containers.values():
            host, _, name = container.image.partition("/")
            if ".dkr.ecr." not in host:
                continue
            account, _, _, region = host.split(".")[:4]
            repository = f"arn:aws:ecr:{region}:{account}:repository/{name.partition(':')[0]}"
            rights[SIGN_IN] = "*"
            rights |= dict.fromkeys(PULL, repository.partition("@")[0])
        for action, resource in rights.items():
            if refused := self._roles.refusal(action, resource):
                raise CannotStartError(
                    "CannotPullContainerError: pull image manifest has been retried 1 time(s): "
                    f"AccessDeniedException: {refused}"
                )

    def _update(self) -> None:
        for container in self._containers.values():
            self._poll(container)
            if container.last_status == PENDING:
                self._start_when_due(container)
        if not self.is_wanted:
            return
        self.record.health_status = self._health()
        essential = [each for each in self._containers.values() if each.is_essential]
        if any(each.last_status == STOPPED for each in essential):
            self.stop(EXITED, "Essential container in task exited")
        elif self._running_since is None and all(each.is_running for each in essential):
            self._running_since = time.monotonic()
            self.record.last_status, self.record.started_at = RUNNING, now()
            self._place.ecs.asked.set()

    def _start_when_due(self, container: Container) -> None:
        try:
            if not may_start(container, self._containers):
                return
        except CannotStartError as error:
            container.reason = str(error)
            raise CannotStartError("Task failed to start") from error
        place = self._place
        environment = environment_of(
            container,
            task_id=self.record.id,
            port=self.port,
            twin=place.twin,
            backends=place.backends,
            roles=self._roles,
        )
        program, folder = self._program(container)
        try:
            container.start(
                program,
                environment=environment,
                folder=folder,
                on_line=place.lines.open(self.record, container, self._roles),
                on_end=self._changed.set,
            )
        except CannotStartError as error:
            container.reason = str(error)
            raise
        place.guard.watch(container.pid)

    def _health(self) -> str:
        checked = [
            each.health_status
            for each in self._containers.values()
            if each.health and each.is_essential
        ]
        if UNHEALTHY in checked:
            return UNHEALTHY
        return HEALTHY if checked and set(checked) == {HEALTHY} else UNKNOWN

    def _end(self) -> None:
        """Bring the ECS task to STOPPED from any state."""
        record, place = self.record, self._place
        try:
            record.last_status = "DEACTIVATING"
            place.ecs.release_network(record)
            if self.registration:
                self.registration.close()
            record.last_status = "STOPPING"
            self._end_containers()
            record.execution_stopped_at = now()
            record.last_status = "DEPROVISIONING"
            shutil.rmtree(folder_of(record.id, place.twin), ignore_errors=True)
        except Exception:
            log.exception("the end of ECS task %s", record.id)
        record.last_status, record.stopped_at = STOPPED, now()
        self._roles.judge.sessions.end_task(record.id)
        place.lines.close(record.id)
        place.ecs.asked.set()

    def _end_containers(self) -> None:
        while running := [each for each in self._containers.values() if each.is_running]:
            for container in running:
                if may_stop(container, self._containers):
                    container.terminate(self._stop_seconds_max)
                self._poll(container)
            if any(each.is_running for each in running):
                self._changed.wait(POLL_SECONDS)
                self._changed.clear()
        for container in self._containers.values():
            container.last_status = STOPPED  # also those that never started

    def _poll(self, container: Container) -> None:
        was_running = container.is_running
        container.poll()
        if was_running and not container.is_running:
            self._place.guard.forget(container.pid)

    def _program(self, container: Container) -> tuple[list[str], Path]:
        """What the container runs, and in which folder."""
        command = container.definition.get("command") or []
        if entrypoint := container.definition.get("entryPoint"):
            return [*entrypoint, *command], self._folder(container)
        python = str(self._place.twin.python)
        if not self._place.twin.is_dev:
            return [python, *ENTRYPOINT, *command], self._folder(container)
        is_reloaded = command in ([ProcessName.API], [ProcessName.WORKER])
        return [python, "-m", RELOADER if is_reloaded else "service", *command], ROOT

    def _folder(self, container: Container) -> Any:
        return self._place.twin.images / container.image.rpartition(":")[2]


def _free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port
