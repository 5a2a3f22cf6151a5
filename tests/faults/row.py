"""One line of the fault list."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.faults.arena import Arena

# What must be nought after every fault; see `checker.py`.
INVARIANTS = {
    "lost": 0, "ended_twice": 0, "starts_unexplained": 0, "overlaps": 0, "unended": 0,
    "connections_over": 0, "history_differs": 0, "misplaced": 0,
}  # fmt: skip


class BoundBroken(AssertionError):
    """A figure is over its bound; of ours that is a defect, of the control it is wanted."""


@dataclass(frozen=True, kw_only=True)
class Row:
    """A fault, what must hold, and how stock SAQ does."""

    id: str  # what `make faults ARGS="-k F12"` takes
    promise: str
    done: str  # to the processes, the network or the database
    scenario: Callable[["Arena"], Awaitable[None]]
    at_most: dict[str, float] = field(default_factory=dict)  # figure: bound
    stock_breaks: bool = False  # run against stock SAQ too, which must break a bound
    stock: str = ""  # what is known of stock SAQ otherwise
    is_short: bool = False  # `make test` runs a short form of it

    def bound(self, figure: str) -> float:
        return (INVARIANTS | self.at_most)[figure]
