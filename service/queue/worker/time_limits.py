"""Interrupts the runs that take longer than their time limit."""

import asyncio
from typing import Protocol

LOOK_SECONDS = 0.02  # a job that ends sooner never costs a timer


class Limited(Protocol):
    """A block of a run with a time limit."""

    def set_timer(self) -> None:
        """Set a timer of the event loop, if the block has not been left."""


class TimeLimits:
    """Sets a timer for each block that is still entered at the next look.

    Most jobs end before: then one look serves hundreds of them.
    """

    def __init__(self) -> None:
        self._entered: list[Limited] = []

    def watch(self, block: Limited, seconds: float, loop: asyncio.AbstractEventLoop) -> None:
        """Let `block`, whose limit is in `seconds`, set its timer before."""
        if seconds <= LOOK_SECONDS:
            block.set_timer()
            return
        if not self._entered:
            loop.call_later(LOOK_SECONDS, self._look)
        self._entered.append(block)

    def _look(self) -> None:
        entered, self._entered = self._entered, []
        for block in entered:
            block.set_timer()
