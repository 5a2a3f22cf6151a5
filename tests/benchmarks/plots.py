"""The plots, as SVG."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from tests.benchmarks import contenders
from tests.benchmarks.results import Results
from tests.benchmarks.tables import TITLES

COLOURS = {
    "moorage": "#0b6e4f", "logged": "#3d8f72", "pgqueuer": "#d1495b",
    "procrastinate": "#edae49", "saq": "#30638e", "valkey": "#8d6a9f", "floor": "#9a9a9a",
}  # fmt: skip
STYLE = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "moorage",
    "font.family": "sans-serif",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.3,
}


def draw(results: Results, folder: Path) -> dict[str, list[str]]:
    """Write what can be drawn; the section's title and the Markdown that shows it."""
    folder.mkdir(parents=True, exist_ok=True)
    found: dict[str, list[str]] = {}
    with mpl.rc_context(STYLE):
        for section, file, alt, plot in (
            ("Drain", "drain.svg", "Jobs run a second by each contender", _drain),
            ("Enqueue", "enqueue.svg", "Jobs enqueued a second by each contender", _enqueue),
            ("Pick-up", "pickup.svg", "Share of jobs started within a time", _pickup),
            ("Network delay", "network.svg", "Jobs run a second over added delay", _network),
        ):
            figure = Figure(figsize=(7.5, 3.2), layout="constrained")
            if plot(results, figure):
                figure.savefig(folder / file, metadata={"Date": None}, facecolor="white")
                found[section] = [f"![{alt}](benchmarks/{file})"]
    return found


def _drain(results: Results, figure: Figure) -> bool:
    return _bars(results, figure, "drain", {"1": "1 at once", "10": "10", "100": "100"})


def _enqueue(results: Results, figure: Figure) -> bool:
    return _bars(
        results, figure, "enqueue", {"1": "1 caller", "100": "100 callers", "bulk": "in bulk"}
    )


def _bars(results: Results, figure: Figure, measure: str, cases: dict[str, str]) -> bool:
    names = [name for name in contenders.NAMES if results.values(measure, "100", name, "rate")]
    axes = figure.subplots(1, len(cases))
    for axis, (case, title) in zip(axes, cases.items(), strict=True):
        rates = [results.median(measure, case, name, "rate") or 0.0 for name in names]
        bars = axis.barh(
            [TITLES[name] for name in names], rates, color=[COLOURS[name] for name in names]
        )
        axis.bar_label(bars, [f"{rate:,.0f}" for rate in rates], padding=2, fontsize=7)
        axis.set_title(title, fontsize=9)
        axis.set_xlim(0, max(rates, default=0) * 1.3 or 1)
        axis.invert_yaxis()
        axis.grid(visible=False, axis="y")
        axis.xaxis.set_major_formatter(lambda value, _: f"{value / 1000:g}k")
        if axis is not axes[0]:
            axis.set_yticklabels([])
    figure.supxlabel("jobs a second", fontsize=8)
    return bool(names)


def _pickup(results: Results, figure: Figure) -> bool:
    axes: Any = figure.subplots(1, 2, sharey=True)
    is_drawn = False
    for axis, case in zip(axes, ("1", "8"), strict=True):
        for name in contenders.NAMES:
            if waits := results.waits_ms(case, name):
                is_drawn = True
                shares = [(place + 1) / len(waits) for place in range(len(waits))]
                axis.step(waits, shares, label=TITLES[name], color=COLOURS[name], linewidth=1.2)
        axis.set_xscale("log")
        axis.set_title(f"{case} worker{'s' if case != '1' else ''}", fontsize=9)
        axis.set_xlabel("milliseconds to the job's start")
    axes[0].set_ylabel("share of jobs")
    if is_drawn:
        axes[0].legend(fontsize=7, frameon=False)
    return is_drawn


def _network(results: Results, figure: Figure) -> bool:
    axis = figure.subplots()
    is_drawn = False
    for name in contenders.NAMES:
        points = [
            (case, rate)
            for case in ("0", "1", "4")
            if (rate := results.median("network", case, name, "rate")) is not None
        ]
        if points:
            is_drawn = True
            axis.plot(
                [int(case) for case, _ in points], [rate for _, rate in points], "o-",
                label=TITLES[name], color=COLOURS[name],
            )  # fmt: skip
    axis.set_yscale("log")
    axis.set_xticks([0, 1, 4])
    axis.set_xlabel("added delay, ms")
    axis.set_ylabel("jobs run a second")
    if is_drawn:
        axis.legend(fontsize=7, frameon=False)
    return is_drawn
