"""The log lines of one job, read from CloudWatch Logs where this process may."""

import asyncio
import json
import shlex
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import unquote

from service.aws import log_events
from service.queue.attempts import Attempt
from service.queue.job import JobRecord
from service.redact import redacted
from service.settings import Settings

LINES_MAX = 500
PAGES_MAX = 20  # of one log group; a page may have no line of the job
READ_SECONDS = 8.0  # then what was found is shown
ANSWER_SECONDS = 15.0
# Of their own: who waits for CloudWatch must not hold up those that read the database's password.
READERS = ThreadPoolExecutor(4, thread_name_prefix="logs")
AROUND = timedelta(seconds=30)  # the clocks of processes and database differ
# Of each line, and shown by themselves.
KNOWN = ("event", "level", "logger", "timestamp", "process", "job_key", "task")


@dataclass(frozen=True)
class Line:
    """One line: `fields` are what it says besides."""

    at: datetime
    process: str
    level: str
    event: str
    fields: dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Lines:
    """The lines in order of time; `problem` says why there are none, or not all."""

    items: Sequence[Line] = ()
    problem: str = ""


async def read(settings: Settings, job: JobRecord, attempts: Sequence[Attempt]) -> Lines:
    """The lines of all processes that name the job, from its enqueue until now or its end."""
    groups = [name for name in settings.console_log_groups.split(",") if name]
    if not groups:
        may = "This API may not read logs; reads_logs = true for the API in stages.toml lets it."
        return Lines(problem=may)
    if '"' in job.key:
        return Lines(problem="CloudWatch cannot look for a key with a quote in it.")
    until = time.monotonic() + READ_SECONDS
    run = asyncio.get_running_loop().run_in_executor
    read_one = partial(_read, settings.aws_region, job.key, spans(job, attempts), until)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            found = await asyncio.gather(*(run(READERS, read_one, name) for name in groups))
    except TimeoutError:
        return Lines(problem="CloudWatch takes too long, or many people look. Try again.")
    except ConnectionError as error:
        return Lines(problem=f"{error}.")
    lines = sorted((line for each, _ in found for line in each), key=lambda line: line.at)
    is_whole = all(whole for _, whole in found) and len(lines) <= LINES_MAX
    problem = "" if is_whole else "These are the first ones; there may be more."
    return Lines(items=lines[:LINES_MAX], problem=problem)


def spans(job: JobRecord, attempts: Sequence[Attempt]) -> list[tuple[datetime, datetime]]:
    """The times in which there may be lines of the job: not the days in which it has waited."""
    now = datetime.now(UTC)
    moments = [(job.created_at, job.created_at)]
    for each in attempts:
        if each.started_at:
            moments.append((each.started_at, each.ended_at or now))
    if job.finished_at:
        moments.append((job.finished_at, job.finished_at))
    found: list[tuple[datetime, datetime]] = []
    for begin, end in sorted((begin - AROUND, end + AROUND) for begin, end in moments):
        if found and begin <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((begin, end))
    return found


def _read(
    region: str | None,
    key: str,
    times: list[tuple[datetime, datetime]],
    until: float,
    group: str,
) -> tuple[list[Line], bool]:
    """The lines of one log group, and whether they are all."""
    found: list[Line] = []
    for begin, end in times:
        pages = log_events(group, key, begin, end, region=region)
        for number, page in enumerate(pages, start=1):
            found += _lines(page, key)
            if len(found) > LINES_MAX or number == PAGES_MAX or time.monotonic() > until:
                return found, False
    return found, True


def _lines(events: list[dict[str, Any]], key: str) -> Iterator[Line]:
    for each in events:
        try:
            said = json.loads(each["message"])
        except ValueError:
            continue
        if isinstance(said, dict) and _names(said, key):
            yield Line(
                at=datetime.fromtimestamp(each["timestamp"] / 1000, UTC),
                process=each["logStreamName"].partition("/")[0],
                level=str(said.get("level", "")),
                event=str(redacted(said.get("event", ""))),
                fields={
                    name: value if isinstance(value, str) else json.dumps(value)
                    for name, value in redacted(said).items()
                    if name not in KNOWN
                },
            )


def _names(said: dict[str, Any], key: str) -> bool:
    """Is the line about this job, or of a request for it?"""
    several = said.get("job_keys")
    path = str(said.get("path", ""))
    return (
        said.get("job_key") == key
        or (isinstance(several, list) and key in several)
        or any(f"/{key}/" in f"{each}/" for each in (path, unquote(path)))
    )


def command(settings: Settings, job: JobRecord) -> str:
    """What shows the lines in a terminal."""
    hours = (datetime.now(UTC) - job.created_at) / timedelta(hours=1)
    since = f"{int(hours) + 1}h" if hours < 48 else f"{int(hours / 24) + 1}d"
    return f"moor logs --job {shlex.quote(job.key)} --since {since} --stage {settings.stage}"
