"""One `moor up` at a time in one folder, and one twin."""

import os
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host.file_lock import FileLock
from scripts.host.postgres_user import make_private


class PidLock:
    """A lock with its holder's number in it.

    `up` is held by a `moor up` while it works; `twin` by the twin's daemon and by its guard, so it
    is free when nothing of the twin is left.
    """

    def __init__(self, home: Path, name: str, file: int | None = None) -> None:
        """`file` is the descriptor of who took it for this process."""
        self._lock = FileLock(home / f"{name}.lock", file)

    @property
    def file(self) -> int:
        """The descriptor: a process that inherits it has the lock until it ends too."""
        return self._lock.file

    def take(self) -> bool:
        """False where another process has it."""
        if not self._lock.take():
            return False
        self._sign(os.getpid())
        return True

    def hand_over(self, pid: int) -> None:
        """That process, which has inherited `file`, has it from now on."""
        self._sign(pid)
        self.release()

    def release(self) -> None:
        self._lock.release()

    @property
    def holder(self) -> int | None:
        """Who took it last; None if it has only just been taken."""
        try:
            return int(self._lock.path.read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _sign(self, pid: int) -> None:
        self._lock.path.write_text(f"{pid}\n")


class AlreadyUpError(OperatorError):
    """Another `moor up` has the folder."""


def take_up_lock(home: Path) -> PidLock:
    """Be the only `moor up` here. Raises `AlreadyUpError` where there is another."""
    make_private(home)
    lock = PidLock(home, "up")
    if not lock.take():
        raise AlreadyUpError(
            f"another `moor up` works here (process {lock.holder})",
            "Let it end, or end it by Ctrl-C in its terminal.",
        )
    return lock
