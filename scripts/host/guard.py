"""Cleans up behind a twin, or a `make api` and its like, that was killed: a small process that
outlives it.

It reads what it has to watch from a pipe that only the operator's process holds. When the pipe
closes without a word of farewell, that process was killed, and what it started is stopped.
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
    """The operator's side, for any of its threads.

    `lock` is a descriptor to hold until everything is cleaned up.
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
        """Stop it if this process is killed."""
        self._tell(str(pid))

    def forget(self, pid: int) -> None:
        """It has ended; its number may soon be another's."""
        self._tell(f"-{pid}")

    def dismiss(self) -> None:
        """Everything has been stopped in good order."""
        self._tell(FAREWELL)
        assert self._process.stdin is not None
        with self._pipe, suppress(OSError):
            self._process.stdin.close()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(END_SECONDS)

    def _tell(self, word: str) -> None:
        assert self._process.stdin is not None
        with self._pipe, suppress(OSError):  # without its guard this process works as well
            self._process.stdin.write(f"{word}\n")
            self._process.stdin.flush()


def stand_guard(home: Path, seconds: float) -> None:
    """Wait for the end of the pipe; unless it was announced, stop what was named in it."""
    words = sys.stdin.read().split()
    if FAREWELL in words:
        return
    pids = watched(words)
    _send(signal.SIGTERM, pids)
    deadline = time.monotonic() + seconds
    while any(map(command_line, pids)) and time.monotonic() < deadline:
        time.sleep(0.05)
    _send(signal.SIGKILL, pids)
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


def _send(number: signal.Signals, pids: list[int]) -> None:
    for pid in filter(command_line, pids):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


if __name__ == "__main__":
    stand_guard(Path(sys.argv[1]), float(sys.argv[2]))
