"""One `make up` at a time in one folder."""

import os
import time
from pathlib import Path

from scripts.errors import OperatorError
from scripts.render import Screen
from scripts.twin.lock import FileLock
from scripts.twin.pids import command_line

POLL_SECONDS = 0.1


class AlreadyUpError(OperatorError):
    """Another `make up` has the folder."""


def take_turn(home: Path, screen: Screen, seconds: float) -> FileLock:
    """The folder's lock, with this process's number in it.

    Where the last holder was killed, waits up to `seconds` for its guard to clean up behind it.
    """
    lock = FileLock(home / "up.lock")
    deadline = time.monotonic() + seconds
    is_told = False
    while not lock.take():
        if (pid := _holder(lock.path)) is not None:
            raise AlreadyUpError(
                f"`make up` runs here already (process {pid})",
                f"Use that one, or stop it: Ctrl-C in its terminal, or `kill {pid}`.",
            )
        if time.monotonic() > deadline:
            raise AlreadyUpError(
                "the last `make up` was killed, and what it started does not stop",
                f"`lsof {lock.path}` names the process that is left.",
            )
        if not is_told:
            screen.say("The last `make up` was killed; waiting for what it started to stop")
            is_told = True
        time.sleep(POLL_SECONDS)
    lock.path.write_text(f"{os.getpid()}\n")
    return lock


def _holder(path: Path) -> int | None:
    try:
        pid = int(path.read_text())
    except ValueError:  # it has only just taken the lock
        return None
    return pid if "scripts.up" in command_line(pid) else None
