"""Reads log events of a stage so that none is lost and none is shown twice."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.errors import UnreachableError
from scripts.processes import deployed
from service.contract import ProcessName

# An event may become readable this much later than newer ones of its log group. The log driver
# sends every five seconds, and CloudWatch needs a few seconds to show an event.
OVERLAP_MS = 30_000
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Event:
    """One line of a log, or one thing that ECS did. `at` is in milliseconds since 1970."""

    id: str
    at: int
    process: str  # the stream's prefix: api, worker, worker-reports, migrate; or "ecs"
    ecs_task: str  # its id; empty for an event about no ECS task
    message: str

    @property
    def order(self) -> tuple[int, int, str]:
        # CloudWatch's ids are increasing decimal numbers.
        return self.at, len(self.id), self.id


@dataclass
class Window:
    """Finds the new events of a source whose events arrive late and out of order.

    Read the source from `since` on, again and again, and give every answer to `take`: it returns
    each event once, if the event arrives no later than `overlap_ms` after a newer one. It remembers
    only the ids of the events in that time.
    """

    since: int
    overlap_ms: int = OVERLAP_MS
    _seen: dict[str, int] = field(default_factory=dict)

    def take(self, events: Iterable[Event], *, now: int) -> list[Event]:
        """The new events, in order of time. `now` is in milliseconds since 1970."""
        new: list[Event] = []
        for event in events:
            if event.at >= self.since and event.id not in self._seen:
                self._seen[event.id] = event.at
                new.append(event)
        # A writer whose clock is ahead must not hide the later events of the others.
        newest = min(now, max(self._seen.values(), default=self.since))
        self.since = max(self.since, newest - self.overlap_ms)
        self._seen = {id: at for id, at in self._seen.items() if at >= self.since}
        return sorted(new, key=lambda event: event.order)

    @property
    def remembered(self) -> int:
        return len(self._seen)


class Source(Protocol):
    """A source of events."""

    def read(self, since: int) -> Iterable[Event]:
        """All events from `since` on (milliseconds since 1970) that can be read now."""
        ...


@dataclass(frozen=True)
class LogGroup:
    """The log lines of some processes in one log group, of all ECS tasks or of one."""

    aws: Aws
    name: str
    processes: tuple[str, ...]
    ecs_task: str = ""  # the beginning of its id
    text: str = ""  # only lines with this text, filtered by CloudWatch

    def read(self, since: int) -> Iterator[Event]:
        given: dict[str, Any] = {"logGroupName": self.name, "startTime": since, "interleaved": True}
        if len(self.processes) == 1:
            given["logStreamNamePrefix"] = f"{self.processes[0]}/"
        if self.text and '"' not in self.text:  # a filter of CloudWatch cannot escape a quote
            given["filterPattern"] = f'"{self.text}"'
        for found in self.aws.pages("logs", "filter_log_events", "events", **given):
            event = read_event(found)
            if event.process in self.processes and event.ecs_task.startswith(self.ecs_task):
                yield event


def groups(
    aws: Aws, processes: tuple[str, ...], *, ecs_task: str = "", text: str = ""
) -> list[LogGroup]:
    """The log groups of these processes. `migrate` writes to those of API and workers."""
    found = []
    for host in deployed(aws):
        here = tuple(each for each in (host, ProcessName.MIGRATE) if each in processes)
        if here:
            found.append(LogGroup(aws, aws.names.log_group(host), here, ecs_task, text))
    return found


def read_event(found: dict[str, Any]) -> Event:
    """From an event of `filter_log_events`, whose stream is named prefix/container/ECS task."""
    process, *_, ecs_task = found["logStreamName"].split("/")
    return Event(found["eventId"], found["timestamp"], process, ecs_task, found["message"])


def milliseconds(at: datetime) -> int:
    """Milliseconds since 1970."""
    return round(at.timestamp() * 1000)


def history(sources: Sequence[Source], since: datetime) -> Iterator[Event]:
    """The events of all sources until now, in order of time."""
    return heapq.merge(
        *(source.read(milliseconds(since)) for source in sources), key=lambda event: event.order
    )


class Follower:
    """Finds the new events of several sources."""

    def __init__(self, sources: Sequence[Source], since: datetime, clock: Clock) -> None:
        self._windows = [(source, Window(milliseconds(since))) for source in sources]
        self._clock = clock

    def poll(self) -> list[Event]:
        """Read every source once: the new events, in order of time. After an error none is lost."""
        now = milliseconds(self._clock.now())
        read = [(window, list(source.read(window.since))) for source, window in self._windows]
        new = [event for window, events in read for event in window.take(events, now=now)]
        return sorted(new, key=lambda event: event.order)


def follow(
    sources: Sequence[Source], since: datetime, clock: Clock, *, patient: bool
) -> Iterator[Event]:
    """The events until now and then new ones, for ever. If `patient`, it waits out an outage."""
    follower = Follower(sources, since, clock)
    while True:
        try:
            yield from follower.poll()
        except UnreachableError:
            if not patient:
                raise
        clock.sleep(POLL_SECONDS)
