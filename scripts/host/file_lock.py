"""A lock on a file. The kernel releases it when its holder ends, in whatever way."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self


class FileLock:
    """A lock that many processes share, or one process holds alone. A `with` block waits for it
    and holds it alone.

    `file` is the descriptor of a lock that this process inherited.
    """

    def __init__(self, path: Path, file: int | None = None) -> None:
        self.path = path
        self._file = file

    @property
    def file(self) -> int:
        """The descriptor: a process that inherits it keeps the lock until it ends too."""
        if self._file is None:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        return self._file

    def share(self) -> None:
        fcntl.flock(self.file, fcntl.LOCK_SH)

    def take(self) -> bool:
        """Hold it alone, if no other process holds or shares it. A share of this process's own is
        given up in either case."""
        try:
            fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        fcntl.flock(self.file, fcntl.LOCK_EX)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
