"""Log events of a stage, read so that none is lost and none comes twice."""

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.errors import UnreachableError
from scripts.terminal.options import SERVICES
from service.contract import ProcessName

# An event may become readable so long after newer ones of its log group. The log driver sends what
# it has every five seconds, and CloudWatch needs a few to show it.
OVERLAP_MS = 30_000
POLL_SECONDS = 1.0


@dataclass(frozen=True)
class Event:
    """One line of a log, or one thing that ECS did. `at` is in milliseconds since 1970."""

    id: str
    at: int
    process: str  # the stream's prefix: api, worker or migrate; ecs for what ECS did
    ecs_task: str  # its id; empty where it is about none
    message: str

    @property
    def order(self) -> tuple[int, int, str]:
        # CloudWatch counts its ids up, in decimal
        return self.at, len(self.id), self.id


@dataclass
class Window:
    """What is new in a source whose events arrive late and out of order.

    Read the source from `since` on, again and again, and `take` what came: each event comes out
    once, if it arrives no later than `overlap_ms` after a newer one. Remembered are the ids of the
    events in that time, no more.
    """

    since: int
    overlap_ms: int = OVERLAP_MS
    _seen: dict[str, int] = field(default_factory=dict)

    def take(self, events: Iterable[Event], *, now: int) -> list[Event]:
        """The new ones, in order of time. `now` is in milliseconds since 1970."""
        new: list[Event] = []
        for event in events:
            if event.at >= self.since and event.id not in self._seen:
                self._seen[event.id] = event.at
                new.append(event)
        # A clock that is ahead must not make us pass over what the others still write.
        newest = min(now, max(self._seen.values(), default=self.since))
        self.since = max(self.since, newest - self.overlap_ms)
        self._seen = {id: at for id, at in self._seen.items() if at >= self.since}
        return sorted(new, key=lambda event: event.order)

    @property
    def remembered(self) -> int:
        return len(self._seen)


class Source(Protocol):
    """Whatever has events."""

    def read(self, since: int) -> Iterable[Event]:
        """All of that time (ms since 1970) and later that it shows now."""
        ...


@dataclass(frozen=True)
class LogGroup:
    """The lines of some processes in one log group, of all ECS tasks or of one."""

    aws: Aws
    name: str
    processes: tuple[ProcessName, ...]
    ecs_task: str = ""  # the beginning of its id
    text: str = ""  # only lines with it, as CloudWatch sees that

    def read(self, since: int) -> Iterator[Event]:
        given: dict[str, Any] = {"logGroupName": self.name, "startTime": since, "interleaved": True}
        if len(self.processes) == 1:
            given["logStreamNamePrefix"] = f"{self.processes[0]}/"
        if self.text and '"' not in self.text:  # CloudWatch knows no way to quote a quote
            given["filterPattern"] = f'"{self.text}"'
        for found in self.aws.pages("logs", "filter_log_events", "events", **given):
            event = read_event(found)
            if event.process in self.processes and event.ecs_task.startswith(self.ecs_task):
                yield event


def groups(
    aws: Aws, processes: tuple[ProcessName, ...], *, ecs_task: str = "", text: str = ""
) -> list[LogGroup]:
    """The log groups where these processes write; `migrate` does so in its hosts'."""
    found = []
    for host in SERVICES:
        here = tuple(each for each in (host, ProcessName.MIGRATE) if each in processes)
        if here:
            found.append(LogGroup(aws, aws.names.log_group(host), here, ecs_task, text))
    return found


def read_event(found: dict[str, Any]) -> Event:
    """Out of `filter_log_events`; the log driver names a stream prefix/container/ECS task."""
    process, *_, ecs_task = found["logStreamName"].split("/")
    return Event(found["eventId"], found["timestamp"], process, ecs_task, found["message"])


def milliseconds(at: datetime) -> int:
    """Since 1970."""
    return round(at.timestamp() * 1000)


def history(sources: Sequence[Source], since: datetime) -> Iterator[Event]:
    """What is there, of all sources in order of time."""
    return heapq.merge(
        *(source.read(milliseconds(since)) for source in sources), key=lambda event: event.order
    )


class Follower:
    """New events of several sources; each call of `look` reads all of them once."""

    def __init__(self, sources: Sequence[Source], since: datetime, clock: Clock) -> None:
        self._windows = [(source, Window(milliseconds(since))) for source in sources]
        self._clock = clock

    def look(self) -> list[Event]:
        """What is new, in order of time. Where it raises, nothing is passed over."""
        now = milliseconds(self._clock.now())
        read = [(window, list(source.read(window.since))) for source, window in self._windows]
        new = [event for window, events in read for event in window.take(events, now=now)]
        return sorted(new, key=lambda event: event.order)


def follow(
    sources: Sequence[Source], since: datetime, clock: Clock, *, patient: bool
) -> Iterator[Event]:
    """What is there, and then what comes, for ever. If `patient`, an outage is waited out."""
    follower = Follower(sources, since, clock)
    while True:
        try:
            yield from follower.look()
        except UnreachableError:
            if not patient:
                raise
        clock.sleep(POLL_SECONDS)
