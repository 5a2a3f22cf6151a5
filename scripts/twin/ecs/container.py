"""One container of an ECS task as a local process, with the fields that DescribeTasks shows."""

import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from scripts.twin.ecs.health_check import HealthCheck

STOP_TIMEOUT_SECONDS = 30  # ECS's default
LINE_BYTES = 256 * 1024 - 26  # CloudWatch's maximum for one event
LAST_LINES_SECONDS = 2.0
PENDING, RUNNING, STOPPED = "PENDING", "RUNNING", "STOPPED"


class CannotStartError(Exception):
    """An ECS task or container cannot be started; the message is the reason that ECS shows."""


class Container:
    """A container; moto reads its public fields by ECS's names in snake case."""

    def __init__(
        self,
        definition: dict[str, Any],
        *,
        override: dict[str, Any],
        task_arn: str,
        task_id: str,
        network_interfaces: list[dict[str, str]],
    ) -> None:
        self.definition = {**definition, **{k: v for k, v in override.items() if k == "command"}}
        self.added_environment = override.get("environment", [])
        self.name: str = definition["name"]
        self.image: str = definition["image"]
        self.task_arn = task_arn
        self.container_arn = f"{task_arn.replace(':task/', ':container/')}/{uuid.uuid4()}"
        self.credentials_id = str(uuid.uuid4())  # a secret: who knows it has the task role's rights
        self.runtime_id = f"{task_id}-{uuid.uuid4().int % 10**10:010d}"
        self.network_interfaces = network_interfaces
        self.cpu, self.memory = str(definition.get("cpu", 0)), definition.get("memory")
        self.last_status = PENDING
        self.exit_code: int | None = None
        self.reason: str | None = None
        self.has_agent = False  # the agent of ECS exec
        self.environment: dict[str, str] = {}  # kept for sessions; has secrets, so never log it
        self.folder = Path()
        check = definition.get("healthCheck")
        self.health = HealthCheck(check) if check else None
        self._process: subprocess.Popen[bytes] | None = None
        self._reader: threading.Thread | None = None
        self._kill_at: float | None = None

    @property
    def health_status(self) -> str:
        return self.health.status if self.health else "UNKNOWN"

    @property
    def managed_agents(self) -> list[dict[str, str]]:
        """The agents as DescribeTasks shows them; a session needs one that runs."""
        state = {"name": "ExecuteCommandAgent", "lastStatus": self.last_status}
        return [state] if self.has_agent else []

    @property
    def is_essential(self) -> bool:
        return bool(self.definition.get("essential", True))

    @property
    def is_running(self) -> bool:
        return self.last_status == RUNNING

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(
        self,
        command: list[str],
        *,
        environment: dict[str, str],
        folder: Path,
        on_line: Callable[[str], None],
        on_end: Callable[[], None],
    ) -> None:
        """Start the command. `on_line` is called with each line, `on_end` at its end. Raises
        `CannotStartError`."""
        self.environment, self.folder = environment, folder
        try:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        except OSError as error:
            reason = f"failed to create task: {command[0]}: {error.strerror}"
            raise CannotStartError(f"CannotStartContainerError: {reason}") from error
        self.last_status = RUNNING
        self._reader = threading.Thread(target=self._read, args=(on_line, on_end), daemon=True)
        self._reader.start()
        if self.health:
            self.health.begin(time.monotonic())

    def poll(self) -> None:
        """Update the status: note the end of the process, or its health."""
        if self._process is None or not self.is_running:
            return
        now = time.monotonic()
        code = self._process.poll()
        if code is not None:
            self._note_end(code)
        elif self._kill_at is not None and now >= self._kill_at:
            self._kill()
        elif self.health:
            self.health.poll(now, self.environment, self.folder)

    def terminate(self, seconds_max: float) -> None:
        """Send SIGTERM once; `poll` sends SIGKILL after the stopTimeout, or after `seconds_max`."""
        wait = min(float(self.definition.get("stopTimeout", STOP_TIMEOUT_SECONDS)), seconds_max)
        if not self.is_running:
            return
        if self._kill_at is None:
            assert self._process is not None
            self._process.terminate()
            self._kill_at = time.monotonic() + wait
        else:
            self._kill_at = min(self._kill_at, time.monotonic() + seconds_max)

    def _note_end(self, code: int) -> None:
        self._kill()  # its children: a container ends with its first process
        assert self._reader is not None
        self._reader.join(LAST_LINES_SECONDS)
        if self.health:
            self.health.end()
        self.exit_code = 128 - code if code < 0 else code
        self.last_status = STOPPED

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _read(self, on_line: Callable[[str], None], on_end: Callable[[], None]) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            while line := lines.readline(LINE_BYTES):
                on_line(line.decode(errors="replace").rstrip("\r\n"))
        on_end()
