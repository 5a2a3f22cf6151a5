"""Markdown tables of medians."""

from collections.abc import Callable, Sequence
from statistics import median

from tests.benchmarks import contenders
from tests.benchmarks.results import Results

TITLES = {name: contenders.load(name).title for name in contenders.NAMES}


def number(value: float) -> str:
    """Three significant digits, as people read them."""
    if value >= 100:
        digits = len(str(int(value)))
        return f"{round(value, 3 - digits):,.0f}"
    return f"{value:.2f}" if value < 10 else f"{value:.1f}"


def span(values: Sequence[float], unit: str = "") -> str:
    """The median, and the smallest and largest where there are several."""
    if not values:
        return "–"
    middle = f"{number(median(values))}{unit}"
    if len(values) == 1:
        return middle
    return f"{middle} <small>{number(min(values))}–{number(max(values))}</small>"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """The first column names, the others hold figures."""
    lines = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def by_case(
    results: Results, measure: str, key: str, cases: dict[str, str], scale: float = 1.0
) -> str:
    """A row for each contender, a column for each case."""
    rows = []
    for name, title in TITLES.items():
        cells = [
            [value * scale for value in results.values(measure, case, name, key)] for case in cases
        ]
        if any(cells):
            rows.append([title, *map(span, cells)])
    return table(["", *cases.values()], rows)


def by_key(
    results: Results, measure: str, case: str, keys: dict[str, str], scale: float = 1.0
) -> str:
    """A row for each contender, a column for each figure."""
    rows = []
    for name, title in TITLES.items():
        cells = [
            [value * scale for value in results.values(measure, case, name, key)] for key in keys
        ]
        if any(cells):
            rows.append([title, *map(span, cells)])
    return table(["", *keys.values()], rows)


def ratios(results: Results, measure: str, cases: dict[str, str], key: str = "rate") -> str:
    """Ours against each other contender's, round by round."""
    rows = []
    for ours in contenders.OURS:
        for other in (*contenders.PEERS, "floor"):
            cells = [results.ratios(measure, case, ours, other, key) for case in cases]
            if any(cells):
                against = f"{TITLES[ours]} ÷ {TITLES[other]}"
                rows.append([against, *(span(cell, "×") for cell in cells)])
    return table(["", *cases.values()], rows)


Section = Callable[[Results], str]
