"""What the engine set out to reach, and whether this run did."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median

from tests.benchmarks import contenders
from tests.benchmarks.results import Results, at_share
from tests.benchmarks.tables import TITLES, number, table

Figure = Callable[[Results, str], float | None]


@dataclass(frozen=True)
class Goal:
    """A figure of one of ours that is to be `bound` or more, or with `is_most` or less."""

    what: str
    bound: float
    unit: str
    figure: Figure
    is_most: bool = False

    def verdict(self, value: float | None) -> str:
        if value is None:
            return "not measured"
        is_met = value <= self.bound if self.is_most else value >= self.bound
        return f"{number(value)}{self.unit} {'✓' if is_met else '✗ missed'}"

    @property
    def wanted(self) -> str:
        return f"{'≤' if self.is_most else '≥'} {self.bound:g}{self.unit}"


def ratio(measure: str, case: str, other: str, key: str = "rate") -> Figure:
    def figure(results: Results, ours: str) -> float | None:
        found = results.ratios(measure, case, ours, other, key)
        return median(found) if found else None

    return figure


def least(*figures: Figure) -> Figure:
    def figure(results: Results, ours: str) -> float | None:
        found = [value for each in figures if (value := each(results, ours)) is not None]
        return min(found, default=None)

    return figure


def value(measure: str, case: str, key: str) -> Figure:
    return lambda results, ours: results.median(measure, case, ours, key)


def total(*figures: Figure) -> Figure:
    def figure(results: Results, ours: str) -> float | None:
        found = [each(results, ours) for each in figures]
        return None if None in found else sum(each or 0.0 for each in found)

    return figure


def pickup_p99(case: str) -> Figure:
    def figure(results: Results, ours: str) -> float | None:
        waits = results.waits_ms(case, ours)
        return at_share(waits, 0.99) if waits else None

    return figure


def kept(case: str) -> Figure:
    """The rate with a backlog, as a share of the rate without, round by round."""

    def figure(results: Results, ours: str) -> float | None:
        with_, without = (
            results.by_round("backlog", each, ours, "rate") for each in (case, "empty")
        )
        shares = [100 * with_[number] / without[number] for number in with_ if number in without]
        return median(shares) if shares else None

    return figure


def goals(results: Results) -> Iterator[Goal]:
    backlog = f"{results.sizes['backlog']:,}"
    for peer, bound in (("saq", 30.0), ("procrastinate", 20.0)):
        yield Goal(f"Drain at 100 against {TITLES[peer]}", bound, "×", ratio("drain", "100", peer))
    for case, bound in (("1", 2.5), ("10", 2.0), ("100", 2.5)):
        yield Goal(
            f"Drain at {case} against PgQueuer", bound, "×", ratio("drain", case, "pgqueuer")
        )
    for case, title, bound in (("1", "1 caller", 1.5), ("bulk", "one caller, in bulk", 1.0)):
        yield Goal(
            f"Enqueue from {title} against PgQueuer", bound, "×", ratio("enqueue", case, "pgqueuer")
        )
    for peer in contenders.PEERS:
        yield Goal(
            f"Enqueue from 100 callers against {TITLES[peer]}", 15, "×",
            ratio("enqueue", "100", peer),
        )  # fmt: skip
    for case in ("10", "100"):
        yield Goal(f"Drain at {case} against the floor", 0.5, "×", ratio("drain", case, "floor"))
    run, enqueue = (value("cost", case, "wal_bytes") for case in ("run 10", "enqueue 100"))
    yield Goal("WAL to run a job (10 at once)", 1000, " B", run, is_most=True)
    yield Goal("WAL of a job with its enqueue", 1250, " B", total(run, enqueue), is_most=True)
    for case in ("1", "8"):
        yield Goal(
            f"Pick-up p99 at 20 jobs/s, {case} worker{'s' if case != '1' else ''}", 10, " ms",
            pickup_p99(case), is_most=True,
        )  # fmt: skip
    yield Goal(f"Rate with {backlog} waiting", 95, " %", kept("waiting"))
    yield Goal(f"Rate with {backlog} delayed", 95, " %", kept("delayed"))
    yield Goal(
        "Statements of an idle worker", 1, "/s",
        value("idle", "worker", "statements_per_second"), is_most=True,
    )  # fmt: skip
    for case in ("1", "10", "100"):
        yield Goal(
            f"Drain at {case} against the fastest peer", 1, "×",
            least(*(ratio("drain", case, peer) for peer in contenders.PEERS)),
        )  # fmt: skip


def goals_table(results: Results) -> str:
    rows = [
        [goal.what, goal.wanted]
        + [goal.verdict(goal.figure(results, ours)) for ours in contenders.OURS]
        for goal in goals(results)
    ]
    return table(["Goal", "Wanted", "Reached"], rows)
