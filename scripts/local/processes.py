"""The service's processes as children, whose log lines go to the screen."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from scripts.terminal.render import Screen
from service.contract import ProcessName

LAST_LINES_SECONDS = 1.0


@dataclass(frozen=True)
class Ended:
    """A process has ended; `code` is negative for a signal, as in subprocess."""

    name: ProcessName
    code: int

    def __str__(self) -> str:
        if self.code < 0:
            return f"{self.name} was killed by {signal.Signals(-self.code).name}"
        return f"{self.name} ended with exit code {self.code}"


class Child:
    """One process of the service. A Ctrl-C in the terminal does not reach it."""

    def __init__(
        self,
        name: ProcessName,
        env: Mapping[str, str],
        screen: Screen,
        on_end: Callable[[Ended], None],
    ) -> None:
        self.name = name
        self._screen = screen
        self._process = subprocess.Popen(
            [sys.executable, "-m", "service", name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=env,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        # Not by the end of its output: a child of the process may hold the pipe open for longer.
        threading.Thread(target=self._await_end, args=(on_end,), daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.poll() is None

    def terminate(self) -> None:
        self._process.terminate()

    def has_ended(self, deadline: float) -> bool:
        """Wait for its end until `deadline` (of the monotonic clock)."""
        try:
            self._process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> None:
        """Kill the process and everything that it started."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def _await_end(self, on_end: Callable[[Ended], None]) -> None:
        code = self._process.wait()
        self._reader.join(LAST_LINES_SECONDS)
        on_end(Ended(self.name, code))

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                self._screen.line(self.name, line.decode(errors="replace").rstrip())


def stop(children: list[Child], seconds: float) -> list[Child]:
    """Send SIGTERM to each, and SIGKILL after `seconds`; returns those that did not end in time."""
    running = [child for child in children if child.is_running]
    for child in running:
        child.terminate()
    deadline = time.monotonic() + seconds
    late = [child for child in running if not child.has_ended(deadline)]
    for child in running:
        child.kill()
    return late
