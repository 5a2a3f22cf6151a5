"""What worker processes count while they run, in memory that the measuring process reads.

Reading it disturbs nobody: no statement is sent to find out how far the workers are.
"""

import mmap
import time
from pathlib import Path

SLOTS = 16  # worker processes at the most
CELLS = 2  # jobs run; when the first of them started, in nanoseconds


class Tally:
    """The counts of all worker processes; a worker writes those of its own slot."""

    def __init__(self, path: Path) -> None:
        size = SLOTS * CELLS * 8
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._cells = memoryview(mmap.mmap(file.fileno(), size)).cast("q")

    @property
    def jobs(self) -> int:
        return sum(self._cells[0::CELLS])

    @property
    def first_at(self) -> float:
        """When the first job started, in seconds of the monotonic clock."""
        return min(ns for ns in self._cells[1::CELLS] if ns) / 1e9


class Counter:
    """What the no-op job does: it counts itself, and how long it waited since `sent`."""

    def __init__(self, tally: Tally, slot: int) -> None:
        self._cells = tally._cells
        self._slot = slot * CELLS
        self.waits: list[int] = []  # nanoseconds

    def __call__(self, sent: int) -> None:
        cells, slot = self._cells, self._slot
        if sent:
            self.waits.append(time.monotonic_ns() - sent)
        if not cells[slot]:
            cells[slot + 1] = time.monotonic_ns()
        cells[slot] += 1
