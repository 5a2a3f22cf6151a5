"""One container of an ECS task as a local process, in the shape that DescribeTasks shows."""

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

STOP_TIMEOUT_SECONDS = 30  # ECS's, where the definition says nothing
LINE_BYTES = 256 * 1024 - 26  # CloudWatch's most for one event
LAST_LINES_SECONDS = 2.0
PENDING, RUNNING, STOPPED = "PENDING", "RUNNING", "STOPPED"


class CannotStartError(Exception):
    """An ECS task or a container cannot be started; the text is the reason that ECS would show."""


class Container:
    """moto finds the public fields by ECS's names in snake case."""

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
        self.runtime_id = f"{task_id}-{uuid.uuid4().int % 10**10:010d}"
        self.network_interfaces = network_interfaces
        self.cpu, self.memory = str(definition.get("cpu", 0)), definition.get("memory")
        self.last_status = PENDING
        self.exit_code: int | None = None
        self.reason: str | None = None
        self.has_agent = False  # of ExecuteCommand
        self.environment: dict[str, str] = {}  # with the secrets: for a session, never for a log
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
        """As DescribeTasks shows them: where this one runs, a session can be opened."""
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
        """Run it; raises `CannotStartError`. `on_line` gets what it writes, `on_end` its end."""
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

    def look(self) -> None:
        """Note its end if it has ended, else its health."""
        if self._process is None or not self.is_running:
            return
        now = time.monotonic()
        code = self._process.poll()
        if code is not None:
            self._note_end(code)
        elif self._kill_at is not None and now >= self._kill_at:
            self._kill()
        elif self.health:
            self.health.look(now, self.environment, self.folder)

    def terminate(self, seconds_max: float) -> None:
        """SIGTERM, once, and SIGKILL when its stopTimeout (`seconds_max` at most) is over."""
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
        self._kill()  # what it left behind: a container ends with its first process
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
