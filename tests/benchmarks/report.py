"""docs/benchmarks.md, from what was measured."""

from pathlib import Path

from tests.benchmarks import contenders
from tests.benchmarks.goals import goals_table
from tests.benchmarks.long import long_sections
from tests.benchmarks.plots import draw
from tests.benchmarks.results import Results, at_share
from tests.benchmarks.tables import TITLES, by_case, by_key, number, ratios, span, table

RESULTS, LONG_RESULTS = "results.json", "long.json"
CONCURRENCY = {"1": "1 at once", "10": "10 at once", "100": "100 at once"}
CALLERS = {"1": "1 caller", "100": "100 callers", "bulk": "1,000 in one call"}
PROCESSES = {"2": "2 processes", "4": "4 processes"}
BACKLOG = {"empty": "nothing else", "waiting": "waiting", "delayed": "delayed"}
DELAYS = {"0": "proxy alone", "1": "+1 ms", "4": "+4 ms"}
LATENCY = {"p50_ms": "p50", "p99_ms": "p99", "p999_ms": "p99.9", "max_ms": "max"}


def write_report(out: Path) -> None:
    """The page and its plots in `out`, from the results in its folder `benchmarks`."""
    sections: list[str] = []
    if (saved := out / "benchmarks" / RESULTS).exists():
        results = Results.load(saved)
        plots = draw(results, out / "benchmarks")
        sections += [_head(results), "## Goals", _GOALS, goals_table(results)]
        for title, text, tables in _sections(results):
            if found := _measured(tables):
                sections += [f"## {title}", text, *plots.get(title, []), *found]
        sections += long_sections(results)
    else:
        sections += ["# Benchmarks"]
    if (saved := out / "benchmarks" / LONG_RESULTS).exists():
        sections += long_sections(Results.load(saved))
    sections += ["## Who took part", _contenders(), _MISSED, _BOUNDS, _HOW]
    (out / "benchmarks.md").write_text("\n\n".join(sections) + "\n")


def _measured(tables: list[str]) -> list[str]:
    """The tables that have a row, each with the line before it that says what it is."""
    found: list[str] = []
    caption = ""
    for each in tables:
        if "\n| ---" not in each:
            caption = each
        elif each.count("\n") > 1:
            found += [caption, each] if caption else [each]
            caption = ""
    return found


def _head(results: Results) -> str:
    rows = [[what, is_] for what, is_ in results.machine.items()]
    facts = "\n".join(f"| {what} | {is_} |" for what, is_ in rows)
    return f"""# Benchmarks

`{results.command}`, {results.date}, {results.minutes:g} minutes. Written by that command: do not
edit it by hand. Raw figures: [results.json](benchmarks/results.json).

Figures are medians of {results.sizes["rounds"]} rounds, with the smallest and the largest beside
them. Servers, clients and workers share the processors below, so a contender is slowed by its own
database work too. Ratios carry over to other machines better than rates do.

| | |
| --- | --- |
{facts}"""


_GOALS = """Every job has its history, which the peers do not keep: it is the job's row and costs no
second one. Ratios are medians of the rounds' ratios."""


def _sections(results: Results) -> list[tuple[str, str, list[str]]]:
    sizes = results.sizes
    jobs, backlog = f"{sizes['jobs']:,}", f"{sizes['backlog']:,}"
    return [
        (
            "Drain",
            f"{jobs} waiting no-op jobs and one worker process; jobs a second from the first job's"
            f" start until the server holds the end of the last. Who needs more than"
            f" {sizes['drain_seconds']:g} s is measured by what it did by then.",
            [
                by_case(results, "drain", "rate", CONCURRENCY),
                ratios(results, "drain", CONCURRENCY),
                "CPU time for one job, in µs, of the worker process and then of the server:",
                by_case(results, "drain", "worker_cpu_us", CONCURRENCY),
                by_case(results, "drain", "server_cpu_us", CONCURRENCY),
            ],
        ),
        (
            "Enqueue",
            "Jobs a second. A call returns when the job is committed (in Valkey: held in memory)."
            " SAQ has no bulk call: its figure is a thousand calls at once.",
            [
                by_case(results, "enqueue", "rate", CALLERS),
                ratios(results, "enqueue", CALLERS),
            ],
        ),
        (
            "Worker processes",
            "The same drain, 10 jobs at once in each process, of one queue; one process is above.",
            [by_case(results, "processes", "rate", PROCESSES)],
        ),
        (
            "Pick-up",
            "20 jobs a second, evenly spread with jitter, to idle workers: milliseconds from the"
            " enqueue call to the job's start, of all rounds together. One worker process:",
            [
                _pickup(results, "1"),
                "Eight worker processes:",
                _pickup(results, "8"),
            ],
        ),
        (
            "500 jobs a second",
            f"{sizes['rounds']} × {sizes['steady_seconds']:g} s to one worker process, 10 at once:"
            " milliseconds from the enqueue call to the start, and CPU seconds of the worker and of"
            " the server in each round.",
            [by_key(results, "steady", "500", LATENCY | _SECONDS)],
        ),
        (
            "Backlog",
            f"The drain at 100 again, of {jobs} jobs: in a table that holds nothing else, in one"
            f" that holds {backlog} waiting jobs, and beside {backlog} that are due tomorrow.",
            [by_case(results, "backlog", "rate", BACKLOG)],
        ),
        (
            "Network delay",
            "Through a TCP proxy that holds every answer back: the drain at 10, then enqueueing"
            " from 10 callers. The delay is nominal; a `SELECT 1` took "
            + ", ".join(
                f"{span(results.values('network', case, 'moorage', 'round_trip_ms'))} ms ({title})"
                for case, title in DELAYS.items()
            )
            + ".",
            [
                by_case(results, "network", "rate", DELAYS),
                by_case(results, "network", "enqueue_rate", DELAYS),
            ],
        ),
        (
            "What a job costs the database",
            "Counted by the proxy (round trips, statements) and by Postgres itself (commits, WAL,"
            " rows updated or deleted, each of which leaves a dead tuple; updates that write to no"
            " index, HOT; entries in indexes). One round: these do not vary.",
            [
                text
                for case, title in _COST_CASES.items()
                for text in (f"{title}:", by_key(results, "cost", case, _COST))
            ],
        ),
        (
            "An idle worker",
            f"Over {sizes['idle_seconds']:g} s, after it has started.",
            [by_key(results, "idle", "worker", _IDLE)],
        ),
    ]


_SECONDS = {"worker_cpu_seconds": "worker CPU", "server_cpu_seconds": "server CPU"}
_COST_CASES = {
    "enqueue 1": "Enqueue, 1 caller",
    "enqueue 100": "Enqueue, 100 callers",
    "run 1": "Run, 1 at once",
    "run 10": "Run, 10 at once",
    "run 100": "Run, 100 at once",
}
_COST = {
    "turns": "round trips", "statements": "statements", "commits": "commits",
    "wal_bytes": "WAL bytes", "dead_tuples": "dead tuples",
    "hot_share": "HOT, share of updates", "index_entries": "index entries",
}  # fmt: skip
_IDLE = {
    "statements_per_second": "statements/s", "turns_per_second": "round trips/s",
    "rss_mb": "memory, MiB", "cpu_share": "CPU, share of one",
}  # fmt: skip


def _pickup(results: Results, case: str) -> str:
    rows = []
    for name, title in TITLES.items():
        if waits := results.waits_ms(case, name):
            shares = [number(at_share(waits, share)) for share in (0.5, 0.99, 0.999)]
            rows.append([title, *shares, number(waits[-1]), f"{len(waits):,}"])
    return table(["", "p50", "p99", "p99.9", "max", "jobs"], rows)


def _contenders() -> str:
    found = [contenders.load(name) for name in contenders.NAMES]
    rows = [[TITLES[each.name], each.settings, each.promise] for each in found]
    return table(["", "Set up", "What “done” means"], rows).replace("---:", "---")


_MISSED = """## Where a goal is missed

- *Against Valkey* an enqueue is committed to disk here and held in memory there.
- *WAL*, *drain* and *enqueue*: see below.
- *A million rows* make the indexes one level deeper, and the server reads more of them from memory.
- *The largest figures* of pick-up are single ones: other programs of the machine stop everybody for
  some milliseconds now and then."""

_BOUNDS = """## What bounds it

What one job writes to the WAL, in bytes: 40,000 jobs with a number as payload, enqueued, claimed
and ended a hundred at a time, without images of whole pages, told apart with `pg_waldump`.

| | enqueue | claim | end |
| --- | ---: | ---: | ---: |
| its row in `saq_jobs` | 392 | 192 | 576 |
| that its key was free (`ON CONFLICT`) | 48 | – | – |
| indexes of `saq_jobs`: key, task, number | 243 | – | – |
| its place in `queue_ready`, with the index | 182 | 56 | – |
| locks of rows | – | 112 | 56 |
| the rest | 7 | 13 | 12 |
| together | 872 | 373 | 644 |

- *The end of a job*: of a changed row Postgres writes what lies between the first and the last byte
  that changed. The result is appended to the blob, where SAQ's clients read it, and a blob begins
  with its length: so the blob is written again (185 bytes here), what is appended (161), and the
  columns behind it (about 130, because columns were added to SAQ's table; another order would mean
  that every row is written anew). Room for the ending in each blob costs an enqueue what it saves
  the end, unless payloads are large, and makes the row of each waiting job half as large again.
- *The claim* could leave the row alone; then SAQ's workers and pages, and an image of the release
  before, would be told that a job waits which runs. The prototype that did so wrote 1,270 bytes in
  all, and 1,440 with the true status.
- *Locks*: a claim locks the place of a job before the job. Without that it would find the new
  version of a job that another claim has just started, and lock it while it runs. The end's lock is
  of the trigger that guards jobs from stock SAQ workers: a `BEFORE` trigger costs it whatever its
  condition says.
- *Indexes*: the key's is SAQ's, the claims find jobs by the number, lists of a task by the third.
- *Drain at 10*: a statement costs the worker and the server some 150 µs each, however many jobs it
  carries. So a second one starts only beside a slow one, and each carries 14 jobs on average.
- *Drain at 100*: worker and server compute at the same time, and on two processors the longer of
  the two is the limit: the worker's process, with about 26 µs of Python for a job. Nothing stands
  out in its profile: to read and make the job takes less than a tenth, an asyncio task with its
  variables too, and the arguments of the statements a twentieth.
- *One caller* waits for the server's statement (75 to 100 µs of its processor), the commit, asyncpg
  (about 60 µs) and our own code (35 µs), one after the other.
- *In bulk*: SAQ's `Job`, made by the caller with a UUID of version 1, takes 5 µs, our checks and
  the blob 6 µs, the server 9 µs, one after the other; `ON CONFLICT` is over a µs of the latter."""

_HOW = """## How

`make bench` runs all of it; `make bench ARGS="--quick"` a small version, and
`make bench ARGS="--measure drain,enqueue --only moorage,pgqueuer"` a part, both into
`.moorage/bench/report`. The code is in `tests/benchmarks`: a contender is one file, a measure is
another.

- Each measurement gets a fresh database and fresh processes; contenders take turns within a round.
- The no-op job has one small argument and counts itself in shared memory, so that watching a drain
  sends no statement.
- Everybody runs on uvloop, talks TCP to 127.0.0.1 without TLS, and logs warnings only."""
