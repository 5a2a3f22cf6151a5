"""What the first page of the console shows: is it well, and if not, what is wrong?"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from service.console.charts import Chart, chart
from service.contract import pool_process
from service.db import UNAVAILABLE
from service.queue.causes import cause_of, last_line
from service.queue.interface import JobQueue
from service.queue.job import JobRecord
from service.queue.job_filter import JobFilter
from service.queue.reads import QueueStats
from service.queue.schedule_record import ScheduleRecord
from service.queue.schedules.schedule_requests import list_schedules
from service.redact import redacted_text

FRESH_SECONDS = 3.0  # one look serves everybody who looks within that time
LATE_SECONDS = 60.0  # a job that has been due for longer waits too long
FAILURES_MIN, FAILURES_SHARE = 5, 0.05  # of the last hour; below it a failure is no news
VIEWERS_MAX = 200  # who follow it, of one process
HOURS = 24.5  # of runs; the first part of the last day may have begun before it
SOON = 6  # schedules that are shown
FAILED_MAX = 200  # the newest failed jobs; they are grouped
REASON_MAX_CHARACTERS = 160


@dataclass(frozen=True)
class QueueNow:
    """A queue's figures, and the pools whose workers serve it; none where that is not known."""

    name: str
    stats: QueueStats
    processes: tuple[str, ...]


@dataclass(frozen=True)
class Failing:
    """Failed jobs of one task with one reason."""

    task: str
    reason: str
    jobs: int
    last: JobRecord


@dataclass(frozen=True)
class Problem:
    """What is not well with a queue, and the command that helps."""

    text: str
    command: str


@dataclass(frozen=True)
class Overview:
    """Everything on the page, read at one moment."""

    at: datetime
    queues: list[QueueNow]
    workers: dict[str, int]  # live ones, by process name
    running: list[JobRecord]
    schedules: list[ScheduleRecord]  # the next ones
    failing: list[Failing]
    is_failing_whole: bool  # `failing` has all of the last day
    problems: list[Problem]
    charts: list[Chart]


class Lookout:
    """Reads the overview, at most once in three seconds, whoever asks."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._reading = asyncio.Lock()
        self._last: Overview | None = None
        self._viewers = 0
        self._closed = asyncio.Event()

    def close(self) -> None:
        """Let those who follow it go: this process ends."""
        self._closed.set()

    async def follow(self, seconds: float) -> AsyncIterator[Overview | None]:
        """The overview every three seconds, for so long or until `close`; None during an outage."""
        async for _ in self.looks(every=FRESH_SECONDS, seconds=seconds):
            try:
                now = await self.now()
            except UNAVAILABLE:
                now = None
            yield now

    async def looks(self, *, every: float, seconds: float) -> AsyncIterator[None]:
        """Goes on each `every` seconds, for so long or until `close`.

        Not at all where `VIEWERS_MAX` look already.
        """
        if self._viewers >= VIEWERS_MAX:
            return
        self._viewers += 1
        try:
            ends_at = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < ends_at and not self._closed.is_set():
                yield
                with suppress(TimeoutError):
                    async with asyncio.timeout(every):
                        await self._closed.wait()
        finally:
            self._viewers -= 1

    async def now(self) -> Overview:
        """The overview, three seconds old at most."""
        async with self._reading:
            if self._last is None or _age(self._last.at) > FRESH_SECONDS:
                self._last = await read(self._queue)
            return self._last


async def read(queue: JobQueue) -> Overview:
    """The overview now."""
    workers = await queue.live_workers()
    queues = [QueueNow(each.name, await each.stats(), _served(each)) for each in queue.all]
    schedules = [each for each in await list_schedules(queue) if each.next_run_at is not None]
    # one page: after a million cancellations the failed jobs may be far apart
    failed = await queue.search_records(JobFilter(status="failed"), limit=FAILED_MAX)
    runs = await queue.read_runs(HOURS)
    now = datetime.now(UTC)
    yesterday = now - timedelta(days=1)
    recent = [job for job in failed.records if (job.finished_at or job.created_at) > yesterday]
    hour = chart("Last hour", runs, now=now, minutes=1, bars=60)
    return Overview(
        at=now,
        queues=queues,
        workers={pool_process(pool): number for pool, number in sorted(workers.items())},
        running=await queue.list_records(status="active", limit=20),
        schedules=sorted(schedules, key=_next)[:SOON],
        failing=group(recent),
        is_failing_whole=failed.before is None or len(recent) < len(failed.records),
        problems=[*_problems(queues), *_failures(hour)],
        charts=[hour, chart("Last day", runs, now=now, minutes=15, bars=24 * 4)],
    )


def group(failed: Iterable[JobRecord]) -> list[Failing]:
    """Failed jobs by task and cause, the most frequent first."""
    jobs = list(failed)
    counts = Counter((job.task, cause_of(last_line(job.error))) for job in jobs)
    newest = {(job.task, cause_of(last_line(job.error))): job for job in reversed(jobs)}
    return [
        Failing(task, why, number, newest[task, why])
        for (task, why), number in counts.most_common()
    ]


def reason(error: str | None) -> str:
    """The last line of a traceback: the error itself."""
    lines = redacted_text(error or "").strip().splitlines()
    return lines[-1].strip()[:REASON_MAX_CHARACTERS] if lines else "no error is recorded"


def _problems(queues: list[QueueNow]) -> Iterator[Problem]:
    for each in queues:
        name, stats = each.name, each.stats
        jobs = "1 job waits" if stats.queued == 1 else f"{stats.queued:,} jobs wait"
        process = next(iter(each.processes), pool_process(""))
        if stats.is_paused and stats.queued:
            yield Problem(
                f"Queue {name} is paused, and {jobs} in it.", f"moor queues resume {name}"
            )
        elif stats.queued and not stats.workers:
            yield Problem(f"No worker serves queue {name}, and {jobs} in it.", "moor status")
        elif stats.oldest_due_seconds > LATE_SECONDS:
            minutes = stats.oldest_due_seconds / 60
            yield Problem(
                f"The oldest job of queue {name} has been due for {minutes:.0f} min.",
                f"moor scale {process} {stats.workers + 1}",
            )


def _failures(hour: Chart) -> Iterator[Problem]:
    ended = hour.complete + hour.failed
    if hour.failed >= FAILURES_MIN and hour.failed >= FAILURES_SHARE * ended:
        share = 100 * hour.failed / ended
        yield Problem(
            f"{share:.0f} % of the jobs that ended within an hour failed.", "moor jobs causes"
        )


def _served(queue: JobQueue) -> tuple[str, ...]:
    pools = queue.pools or {}
    return tuple(pool_process(pool) for pool, served in pools.items() if queue.name in served.names)


def _next(schedule: ScheduleRecord) -> datetime:
    assert schedule.next_run_at is not None
    return schedule.next_run_at


def _age(moment: datetime) -> float:
    return (datetime.now(UTC) - moment).total_seconds()
