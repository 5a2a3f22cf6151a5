"""Which files have been saved."""

import os
from collections.abc import Iterator
from pathlib import Path

Stamp = tuple[int, int]  # when it was written, in nanoseconds, and its bytes


class Sources:
    """Some files and all files of some folders, and what has changed since the last look."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._stamps = dict(self._scan())

    def changed(self) -> list[Path]:
        """What was saved, added or deleted since the last call, in order."""
        now = dict(self._scan())
        before, self._stamps = self._stamps, now
        if now == before:
            return []
        names = {name for name in now.keys() | before.keys() if now.get(name) != before.get(name)}
        return sorted(Path(name) for name in names)

    def _scan(self) -> Iterator[tuple[str, Stamp]]:
        for path in self._files():
            try:
                found = os.stat(path)
            except OSError:  # an editor's file that is gone already
                continue
            yield path, (found.st_mtime_ns, found.st_size)

    def _files(self) -> Iterator[str]:
        for path in self._paths:
            if not path.is_dir():
                yield str(path)
            for where, folders, files in os.walk(path):
                folders[:] = [each for each in folders if not each.startswith((".", "__py"))]
                yield from (os.path.join(where, file) for file in files if is_source(file))


def is_source(name: str) -> bool:
    """Is it no file that an editor keeps beside what is edited?"""
    return not name.startswith((".", "#")) and not name.endswith(("~", ".swp", ".tmp", ".pyc"))
