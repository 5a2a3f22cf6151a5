"""The part of docs/benchmarks.md about what shows only after a while, or in large tables."""

from collections.abc import Iterator
from typing import Any

from tests.benchmarks.measures import endure, snapshot
from tests.benchmarks.results import Results
from tests.benchmarks.tables import by_key, number, table

_SNAPSHOT = {
    "share_done": "done, share", "last_p50_ms": "p50, ms", "last_p99_ms": "p99, ms",
    "rate_without": "drain without", "rate": "drain with", "rate_share": "kept, share",
}  # fmt: skip
_SIZES = {"jobs": "jobs", "indexes": "their indexes", "places": "places", "archive": "history"}
_WAITS = {"p50_ms": "p50, ms", "p99_ms": "p99, ms"}


def long_sections(results: Results) -> list[str]:
    """The sections of the measures that were taken; none where they were not."""
    found = [*_snapshot(results), *_endure(results), *_history(results)]
    if found:
        found.insert(0, f"`{results.command}`, {results.date}, {results.minutes:g} minutes:")
        found.insert(0, "## After a while")
    return found


def _snapshot(results: Results) -> Iterator[str]:
    if not any(found.measure == "snapshot" for found in results.results):
        return
    seconds = results.sizes["snapshot_seconds"]
    yield "### Beside a transaction that stays open"
    yield (
        f"Another transaction holds its snapshot, so that no vacuum removes a dead row. For"
        f" {seconds:g} s one worker gets {snapshot.RATE} jobs a second: how many it did, and the"
        f" waits of the last fifth. Then, with the snapshot still held, the drain at"
        f" {snapshot.DRAIN_CONCURRENCY} of {results.sizes['jobs']:,} jobs, in jobs a second, and"
        f" its share of the same in a new database."
    )
    yield by_key(results, "snapshot", str(snapshot.RATE), _SNAPSHOT)


def _endure(results: Results) -> Iterator[str]:
    for found in _values(results, "endure"):
        seconds = results.sizes["endure_seconds"]
        yield f"### {endure.RATE:,} jobs a second for {_minutes(seconds)} minutes"
        yield (
            f"From one client to one worker. {found['done']:,} of {found['sent']:,} jobs done in"
            f" {found['seconds']:.0f} s; the worker computed for {found['worker_cpu_seconds']:.0f}"
            f" s, the server for {found['server_cpu_seconds']:.0f} s. An ended job is kept for a"
            " day unless its task says otherwise, so the table of jobs and its indexes grow evenly,"
            f" by {_bytes_of_a_job(found):,.0f} bytes a job. Where jobs stand (the narrow tables)"
            " stays as large as it is. MiB at the end of each part, and the waits in it:"
        )
        rows = [
            [
                f"{_minutes(seconds * (place + 1) / len(found['parts']))} min",
                *(number(part[key]) for key in (*_SIZES, *_WAITS) if key in part),
            ]
            for place, part in enumerate(found["parts"])
        ]
        yield table(["", *_SIZES.values(), *_WAITS.values()], rows)


def _bytes_of_a_job(found: dict[str, Any]) -> float:
    last: dict[str, float] = found["parts"][-1]
    return (last["jobs"] + last["indexes"]) * 2**20 / float(found["done"])


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.2g}"


def _history(results: Results) -> Iterator[str]:
    for found in _values(results, "history"):
        yield f"### A list of {found['rows']:,} ended jobs"
        yield (
            f"{found['mib']:,.0f} MiB. Twenty pages of fifty jobs for each filter, one after the"
            " other; the last one's indexes, and the pages of 8 KiB that it read:"
        )
        rows = [
            [
                what,
                f"{page['jobs']:,}",
                *(number(page[key]) for key in ("p50_ms", "max_ms")),
                page["plan"],
            ]
            for what, page in found["filters"].items()
        ]
        yield table(["", "jobs", "p50, ms", "slowest, ms", "read"], rows)
        if "console" in found:
            yield from _console(found["console"])


def _console(found: dict[str, Any]) -> Iterator[str]:
    yield "### The console beside them"
    yield "Twenty requests for each page, by HTTP from an API process, milliseconds:"
    rows = [
        [name, *(number(page[key]) for key in ("p50_ms", "p95_ms", "max_ms")),
         f"{page['bytes'] / 1024:,.0f}"]
        for name, page in found["pages"].items()
    ]  # fmt: skip
    yield table(["", "p50", "p95", "slowest", "KiB"], rows)
    yield "The statements behind them, but for the list of jobs above:"
    asked = [[name, number(each["ms"]), each["plan"]] for name, each in found["statements"].items()]
    yield table(["", "ms", "read"], asked)
    viewers = found["viewers"]
    counts = ", ".join(f"{rate:.1f} with {count}" for count, rate in viewers.items())
    yield (
        "Statements in a second on the database, the API's own among them, with so many viewers at"
        f" the overview: {counts}."
    )
    bulk = found["bulk"]
    yield (
        f"{bulk['jobs']:,} failed jobs of one filter were retried in {bulk['seconds']:.1f} s and"
        f" that was undone in {bulk['undo_seconds']:.1f} s. Again, the process was killed after"
        f" {bulk['killed_at']:,}, and the next one went on: {bulk['changed']:,} were changed, and"
        f" {bulk['not_once']} not once."
    )


def _values(results: Results, measure: str) -> list[dict[str, Any]]:
    return [found.values for found in results.results if found.measure == measure]
