"""The table of docs/reliability.md, written from what was measured."""

import json
import os
import platform
from typing import Any

from tests.conftest import ROOT
from tests.faults.results import RESULTS
from tests.faults.row import INVARIANTS, Row
from tests.faults.table import ROWS
from tests.faults.table.others import ELSEWHERE

PAGE = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- written by `make faults` -->", "<!-- up to here -->"


def publish() -> None:
    """Put the figures of the last run into the page."""
    measured: dict[tuple[str, str], dict[str, Any]] = {}
    for line in RESULTS.read_text().splitlines():
        result = json.loads(line)
        measured[result["id"], result["engine"]] = result
    before, _, rest = PAGE.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{_table(measured)}\n{_others()}\n{END}{after}")


def _table(measured: dict[tuple[str, str], dict[str, Any]]) -> str:
    seconds = sum(result["seconds"] for result in measured.values())
    lines = [
        f"Run with Python {platform.python_version()} on {os.cpu_count()} cores,"
        f" {seconds / 60:.0f} minutes.",
        "",
        "| Id | Done to it | Promise | Stock SAQ | Ours, and the bound |",
        "|---|---|---|---|---|",
    ]
    for row in ROWS:
        ours = _figures(row, measured.get((row.id, "ours")))
        lines.append(
            f"| {row.id} | {row.done} | {row.promise} | {_stock(row, measured)} | {ours} |"
        )
    return "\n".join(lines)


def _others() -> str:
    lines = ["", "Proven by tests elsewhere:", ""]
    lines += [f"- `{place.partition('::')[2]}`" for place in ELSEWHERE]
    return "\n".join(lines)


def _stock(row: Row, measured: dict[tuple[str, str], dict[str, Any]]) -> str:
    """What broke in the control, and what is known from elsewhere."""
    said = [row.stock] if row.stock else []
    if (control := measured.get((row.id, "stock"))) is not None:
        figures = control["figures"].items()
        broken = [
            _figure(row, name, value) for name, value in figures if _is_broken(row, name, value)
        ]
        said.insert(0, ", ".join(broken) or "did not get so far")
    return "; ".join(said) or "not run"


def _figures(row: Row, result: dict[str, Any] | None) -> str:
    if result is None:
        return "not run"
    shown = [
        _figure(row, name, value)
        for name, value in result["figures"].items()
        if name not in INVARIANTS or value != "0"
    ]
    failed = "" if result["outcome"] == "passed" else f"**{result['outcome']}** "
    return failed + (", ".join(shown) or "the invariants")


def _figure(row: Row, name: str, value: str) -> str:
    if name.endswith("_per_s"):
        words, unit = name.removesuffix("_per_s"), " per s"
    else:
        words, unit = (name[:-2], " s") if name.endswith("_s") else (name, "")
    bound = (INVARIANTS | row.at_most).get(name)
    limit = "" if bound is None else f" (≤ {bound:g})"
    return f"{words.replace('_', ' ')} {value}{unit}{limit}"


def _is_broken(row: Row, name: str, value: str) -> bool:
    bound = (INVARIANTS | row.at_most).get(name)
    return bound is not None and (value.startswith(">") or float(value) > bound)
