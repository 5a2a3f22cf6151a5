"""So many a second, so that recording costs a process little, however much it does."""

import time


class Allowance:
    """So many a second; a quiet second is not saved up."""

    def __init__(self, per_second: float) -> None:
        self._per_second = self._left = per_second
        self._at = time.monotonic()

    def take(self) -> bool:
        """Is there one left?"""
        now = time.monotonic()
        left = min(self._per_second, self._left + (now - self._at) * self._per_second)
        is_left = left >= 1
        self._at, self._left = now, left - is_left
        return is_left
