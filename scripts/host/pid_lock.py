"""A lock that names its holder: there is one `moor up` at a time in a folder, and one twin."""

import os
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host.file_lock import FileLock
from scripts.host.postgres_user import make_private


class PidLock:
    """A lock file with the holder's process id in it.

    `moor up` holds `up` while it works. The twin's daemon and its guard hold `twin`, so that it is
    free when no process of the twin is left.
    """

    def __init__(self, home: Path, name: str, file: int | None = None) -> None:
        """`file` is the descriptor of a lock that this process inherited."""
        self._lock = FileLock(home / f"{name}.lock", file)

    @property
    def file(self) -> int:
        """The descriptor: a process that inherits it keeps the lock until it ends too."""
        return self._lock.file

    def take(self) -> bool:
        """Take the lock; False where another process has it."""
        if not self._lock.take():
            return False
        self._write(os.getpid())
        return True

    def hand_over(self, pid: int) -> None:
        """Give the lock to this process, which has inherited `file`."""
        self._write(pid)
        self.release()

    def release(self) -> None:
        self._lock.release()

    @property
    def holder(self) -> int | None:
        """The process id of the last holder; None if it was taken a moment ago."""
        try:
            return int(self._lock.path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _write(self, pid: int) -> None:
        self._lock.path.write_text(f"{pid}\n")


class AlreadyUpError(OperatorError):
    """Another `moor up` is at work in this folder."""


def take_up_lock(home: Path) -> PidLock:
    """The lock of `moor up`, taken. Raises `AlreadyUpError` where another process has it."""
    make_private(home)
    lock = PidLock(home, "up")
    if not lock.take():
        raise AlreadyUpError(
            f"another `moor up` is at work here (process {lock.holder})",
            "Let it finish, or end it with Ctrl-C in its terminal.",
        )
    return lock
