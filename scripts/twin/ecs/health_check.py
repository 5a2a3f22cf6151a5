"""A container's health check: a command that runs again and again in its environment."""

import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import Any

# ECS's defaults.
INTERVAL_SECONDS, TIMEOUT_SECONDS, RETRIES, START_SECONDS = 30, 5, 3, 0
# In the start period until the first success: shorter than ECS's interval, for a developer waits.
START_INTERVAL_SECONDS = 1.0
UNKNOWN, HEALTHY, UNHEALTHY = "UNKNOWN", "HEALTHY", "UNHEALTHY"


class HealthCheck:
    """Runs the checks; `status` follows their results by ECS's rules."""

    def __init__(self, definition: dict[str, Any]) -> None:
        kind, *command = definition["command"]
        self.command = ["/bin/sh", "-c", *command] if kind == "CMD-SHELL" else command
        self.interval = float(definition.get("interval") or INTERVAL_SECONDS)
        self.timeout = float(definition.get("timeout") or TIMEOUT_SECONDS)
        self.retries = int(definition.get("retries") or RETRIES)
        self.start_period = float(definition.get("startPeriod") or START_SECONDS)
        self.status = UNKNOWN
        self._failures = 0
        self._start_until = self._next = self._deadline = 0.0
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self, now: float) -> None:
        """The container has started."""
        self._start_until = now + self.start_period
        self._next = now + self._wait(now)

    def poll(self, now: float, environment: dict[str, str], folder: Path) -> None:
        """Start a check that is due, or note the result of the running one."""
        if self._process is None:
            if now >= self._next:
                self._start(now, environment, folder)
            return
        code = self._process.poll()
        if code is None and now < self._deadline:
            return
        self._kill()
        self._note(code == 0, now)

    def end(self) -> None:
        """The container has ended: end a running check."""
        self._kill()

    def _start(self, now: float, environment: dict[str, str], folder: Path) -> None:
        self._deadline = now + self.timeout
        try:
            self._process = subprocess.Popen(
                self.command,
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError:  # no such program
            self._note(False, now)

    def _note(self, is_good: bool, now: float) -> None:
        if is_good:
            self.status, self._failures = HEALTHY, 0
        elif self.status != UNKNOWN or now >= self._start_until:
            self._failures += 1
            if self._failures >= self.retries:
                self.status = UNHEALTHY
        self._next = now + self._wait(now)

    def _wait(self, now: float) -> float:
        is_starting = self.status == UNKNOWN and now < self._start_until
        return min(self.interval, START_INTERVAL_SECONDS) if is_starting else self.interval

    def _kill(self) -> None:
        if self._process is None:
            return
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._process = None
