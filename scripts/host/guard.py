"""A small process that cleans up after a twin, `make db`, `make api` or `make worker` was killed.

It reads the process ids that it has to watch from a pipe that only the guarded process holds. When
the pipe closes without `FAREWELL`, that process was killed, and the guard stops what it started.
"""

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from scripts.host.pids import command_line
from scripts.host.postgres import Postgres

FAREWELL = "done"
END_SECONDS = 5


class Guard:
    """The guarded process's side; any of its threads may use it.

    `lock` is a descriptor that the guard holds until everything is cleaned up.
    """

    def __init__(self, home: Path, *, seconds: float, lock: int | None) -> None:
        self._pipe = threading.Lock()  # one line at a time
        self._process = subprocess.Popen(
            [sys.executable, "-m", "scripts.host.guard", str(home), str(seconds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
            start_new_session=True,
            pass_fds=() if lock is None else (lock,),
        )

    def watch(self, pid: int) -> None:
        """Have the guard stop process `pid` if this process is killed."""
        self._send(str(pid))

    def forget(self, pid: int) -> None:
        """Process `pid` has ended; another process may soon get its number."""
        self._send(f"-{pid}")

    def dismiss(self) -> None:
        """End the guard: everything has been stopped."""
        self._send(FAREWELL)
        assert self._process.stdin is not None
        with self._pipe, suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)

    def _send(self, word: str) -> None:
        assert self._process.stdin is not None
        with self._pipe, suppress(OSError):  # if the guard is dead, this process works without it
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()


def stand_guard(home: Path, seconds: float) -> None:
    """Wait until the pipe closes; without a farewell, stop the processes that it named."""
    words = sys.stdin.read().split()
    if FAREWELL in words:
        return
    pids = watched(words)
    _signal(signal.SIGTERM, pids)
    deadline = time.monotonic() + seconds
    while any(map(command_line, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _signal(signal.SIGKILL, pids)
    Postgres(home).stop()


def watched(words: list[str]) -> list[int]:
    """The processes that were named and not forgotten since."""
    found: dict[int, None] = {}
    for number in map(int, words):
        if number > 0:
            found[number] = None
        else:
            found.pop(-number, None)
    return list(found)


def _signal(number: signal.Signals, pids: list[int]) -> None:
    for pid in filter(command_line, pids):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


if __name__ == "__main__":
    stand_guard(Path(sys.argv[1]), float(sys.argv[2]))
