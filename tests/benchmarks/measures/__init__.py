"""What is measured: each module has one `Measure`, run for each of its cases."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.results import at_share
from tests.benchmarks.stand import Stand

Values = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """How much is measured."""

    rounds: int
    jobs: int  # to drain
    drain_seconds: float  # a contender that needs longer is measured by what it did by then
    enqueue_jobs: int
    enqueue_seconds: float
    backlog: int
    steady_seconds: float
    pickup_seconds: float
    idle_seconds: float
    snapshot_seconds: float
    endure_seconds: float
    history: int  # ended jobs


FULL = Sizes(
    rounds=3, jobs=20_000, drain_seconds=5, enqueue_jobs=20_000, enqueue_seconds=2,
    backlog=1_000_000, steady_seconds=10, pickup_seconds=10, idle_seconds=30,
    snapshot_seconds=300, endure_seconds=1200, history=10_000_000,
)  # fmt: skip
QUICK = Sizes(
    rounds=1, jobs=4_000, drain_seconds=1, enqueue_jobs=4_000, enqueue_seconds=1,
    backlog=50_000, steady_seconds=2, pickup_seconds=2, idle_seconds=2,
    snapshot_seconds=5, endure_seconds=10, history=100_000,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Measure:
    """One question; `run` answers it for one contender in one case."""

    name: str
    cases: tuple[str, ...]
    quick_cases: tuple[str, ...] | None = None  # where a quick run asks for fewer
    contenders: tuple[str, ...]
    run: Callable[[Stand, str, str, Sizes], Awaitable[Values]]
    rounds: int | None = None  # where fewer of them do


def percentiles(nanoseconds: list[int]) -> Values:
    """Milliseconds that so many of the waits stayed within."""
    ordered = sorted(wait / 1e6 for wait in nanoseconds)
    if not ordered:
        return {"samples": 0}
    return {
        "samples": len(ordered),
        "p50_ms": at_share(ordered, 0.5),
        "p99_ms": at_share(ordered, 0.99),
        "p999_ms": at_share(ordered, 0.999),
        "max_ms": ordered[-1],
    }
