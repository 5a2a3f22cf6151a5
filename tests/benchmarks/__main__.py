"""`make bench`: the engine against its peers, on this machine, in one run."""

import argparse
import asyncio
import shlex
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path

from scripts.terminal.render import Screen
from tests.benchmarks import contenders
from tests.benchmarks.machine import describe
from tests.benchmarks.measures import FULL, QUICK, Measure, Sizes
from tests.benchmarks.report import LONG_RESULTS, RESULTS, write_report
from tests.benchmarks.results import Result, Results
from tests.benchmarks.stand import ROOT, Stand

MEASURES = (
    "enqueue", "drain", "processes", "steady", "pickup", "backlog", "network", "cost", "idle",
)  # fmt: skip
# Not part of a run unless they are asked for: three quarters of an hour.
LONG = ("snapshot", "endure", "history")
FOLDER = ROOT / ".moorage" / "bench"
PREVIEW = FOLDER / "report"
DOCS = ROOT / "docs"

Turn = tuple[int, Measure, str, str]  # round, measure, case, contender


def main() -> int:
    given = _parse(sys.argv[1:])
    screen = Screen({})
    is_long = not set(given.measure) & set(MEASURES)
    is_whole = set(given.only) == set(contenders.NAMES) and set(given.measure) in (
        set(MEASURES), set(LONG)
    )  # fmt: skip
    out: Path = given.out or (DOCS if is_whole and not given.quick else PREVIEW)
    if given.report:
        write_report(out)
        return 0
    for name in contenders.NAMES:
        contenders.load(name).set_up_logging()
    sizes = QUICK if given.quick else FULL
    rounds = given.rounds or sizes.rounds
    results = Results(
        command="make bench" + (f' ARGS="{shlex.join(sys.argv[1:])}"' if sys.argv[1:] else ""),
        date=datetime.now(UTC).date().isoformat(),
        machine=describe(FOLDER),
        sizes=vars(sizes) | {"rounds": rounds},
    )
    started = time.monotonic()
    turns = list(_turns([_measure(name) for name in given.measure], given.only, rounds, sizes))
    failures = asyncio.run(_run(screen, results, turns, sizes))
    results.minutes = round((time.monotonic() - started) / 60, 1)
    results.save(out / "benchmarks" / (LONG_RESULTS if is_long else RESULTS))
    write_report(out)
    screen.say(f"{results.minutes} minutes, {failures} failed; see {out / 'benchmarks.md'}")
    return 1 if failures else 0


def _turns(measures: list[Measure], only: list[str], rounds: int, sizes: Sizes) -> Iterator[Turn]:
    """Contenders take turns within a case: what else the machine does meets all of them alike."""
    for number in range(rounds):
        for measure in measures:
            if number < (measure.rounds or rounds):
                for case in (sizes is QUICK and measure.quick_cases) or measure.cases:
                    for name in measure.contenders:
                        if name in only:
                            yield number, measure, case, name


async def _run(screen: Screen, results: Results, turns: list[Turn], sizes: Sizes) -> int:
    stand = Stand(FOLDER)
    failures = 0
    stand.start()
    try:
        for place, (number, measure, case, name) in enumerate(turns, start=1):
            try:
                values = await measure.run(stand, name, case, sizes)
            except Exception as error:  # a contender that breaks leaves a gap, not a failed run
                failures += 1
                screen.say(f"{place}/{len(turns)} {measure.name} {case} {name} failed: {error!r}")
            else:
                result = Result(measure.name, case, name, number, values)
                results.add(result)
                screen.say(f"{place}/{len(turns)} {result.line()}")
    finally:
        stand.stop()
    return failures


def _measure(name: str) -> Measure:
    measure: Measure = import_module(f"tests.benchmarks.measures.{name}").MEASURE
    return measure


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="small and once, to see that it works")
    add("--only", type=_names(contenders.NAMES), default=list(contenders.NAMES), metavar="A,B",
        help=f"of {', '.join(contenders.NAMES)}")  # fmt: skip
    add("--measure", type=_names((*MEASURES, *LONG)), default=list(MEASURES), metavar="A,B",
        help=f"of {', '.join(MEASURES)}; and {', '.join(LONG)}, which take 45 minutes")  # fmt: skip
    add("--rounds", type=int, help="3 unless given")
    add("--report", action="store_true", help="write the page anew from results.json")
    add("--out", type=Path, help="a folder; docs for a whole run, else .moorage/bench/report")
    return parser.parse_args(argv)


def _names(allowed: tuple[str, ...]) -> Callable[[str], list[str]]:
    def parse(text: str) -> list[str]:
        found = text.split(",")
        if unknown := sorted(set(found) - set(allowed)):
            raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not of {', '.join(allowed)}")
        return found

    return parse


if __name__ == "__main__":
    sys.exit(main())
