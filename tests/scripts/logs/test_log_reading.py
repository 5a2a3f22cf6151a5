"""Whatever order, lateness and repetition, each event comes out once."""

import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.errors import UnreachableError
from scripts.logs.log_reading import Event, Follower, Window, follow, groups, history
from service.contract import ProcessName
from tests.scripts.cloud import aws, make_log_groups, write_lines

__all__ = ["aws"]

OVERLAP = 1000
NOW = int(time.time() * 1000)


def event(id: int, at: int) -> Event:
    return Event(f"{id:04}", at, "worker", "", f"line {id}")


@st.composite
def arrivals(draw: st.DrawFn) -> list[list[Event]]:
    """What becomes readable in each round: never more than OVERLAP after a newer event."""
    times = draw(st.lists(st.integers(0, 20 * OVERLAP), min_size=1, max_size=60))
    lateness = draw(st.lists(st.integers(0, OVERLAP), min_size=len(times), max_size=len(times)))
    events = [event(number, at) for number, at in enumerate(times)]
    readable_at = {each.id: each.at + late for each, late in zip(events, lateness, strict=True)}
    cuts = sorted(draw(st.lists(st.integers(0, 22 * OVERLAP), max_size=10)))
    rounds: list[list[Event]] = []
    start = -1
    for end in [*cuts, 30 * OVERLAP]:
        rounds.append([each for each in events if start < readable_at[each.id] <= end])
        start = end
    return rounds


@given(arrivals(), st.randoms(use_true_random=False))
def test_each_event_comes_out_once_and_in_order_of_what_was_known(
    rounds: list[list[Event]], random: object
) -> None:
    window = Window(0, OVERLAP)
    known: list[Event] = []
    out: list[Event] = []
    for arrived in rounds:
        known += arrived
        pages = [each for each in known if each.at >= window.since]
        pages += random.sample(pages, len(pages) // 2)  # type: ignore[attr-defined]
        random.shuffle(pages)  # type: ignore[attr-defined]
        newest = max((each.at for each in known), default=0)
        new = window.take(pages, now=newest)
        assert new == sorted(new, key=lambda each: each.order)
        out += new
        within = [each for each in known if each.at >= window.since]
        assert window.remembered <= len(within)
        assert window.since >= newest - OVERLAP
    assert sorted(out, key=lambda each: each.order) == sorted(known, key=lambda each: each.order)
    assert len(out) == len({each.id for each in out})


def test_line_of_a_clock_that_is_ahead_does_not_hide_the_others() -> None:
    window = Window(0, OVERLAP)
    assert window.take([event(1, 500_000)], now=2000) == [event(1, 500_000)]
    assert window.take([event(1, 500_000), event(2, 1900)], now=2100) == [event(2, 1900)]


@dataclass
class Script:
    """A source that shows another page at each reading; an exception is raised."""

    pages: list[list[Event] | Exception]
    asked: list[int] = field(default_factory=list)

    def read(self, since: int) -> Iterable[Event]:
        self.asked.append(since)
        page = self.pages.pop(0)
        if isinstance(page, Exception):
            raise page
        return page


class Stop(Exception):
    """Nothing more is scripted."""


def clock_at(at: int) -> Clock:
    return Clock(now=lambda: datetime.fromtimestamp(at / 1000, UTC), sleep=lambda _: None)


def test_outage_of_one_source_loses_no_line_of_the_other() -> None:
    good = Script([[event(1, 10)], [event(1, 10)], Stop()])
    bad = Script([UnreachableError("slow down"), [event(2, 5)], Stop()])
    found: list[Event] = []
    endless = follow([good, bad], datetime.fromtimestamp(0, UTC), clock_at(1000), patient=True)
    with pytest.raises(Stop):
        found.extend(endless)
    assert found == [event(2, 5), event(1, 10)]


def test_outage_of_the_twin_ends_it() -> None:
    bad = Script([UnreachableError("gone")])
    with pytest.raises(UnreachableError):
        next(iter(follow([bad], datetime.fromtimestamp(0, UTC), clock_at(1000), patient=False)))


def test_processes_are_merged_in_order_of_time_and_migrate_is_found_in_both_groups(
    aws: Aws,
) -> None:
    make_log_groups()
    write_lines(ProcessName.API, "migrate/migrate/a1", (NOW, "m1"))
    write_lines(ProcessName.API, "api/api/a1", (NOW + 2, "a1"), (NOW + 5, "a2"))
    write_lines(ProcessName.WORKER, "migrate/migrate/w1", (NOW + 1, "m2"))
    write_lines(ProcessName.WORKER, "worker/worker/w1", (NOW + 3, "w1"), (NOW + 9, "w2"))
    start = datetime.fromtimestamp(NOW / 1000, UTC)

    def read(*processes: ProcessName, ecs_task: str = "") -> list[str]:
        found = groups(aws, processes, ecs_task=ecs_task)
        return [each.message for each in history(found, start)]

    everything = (ProcessName.API, ProcessName.WORKER, ProcessName.MIGRATE)
    assert read(*everything) == ["m1", "m2", "a1", "w1", "a2", "w2"]
    assert read(ProcessName.WORKER) == ["w1", "w2"]
    assert read(ProcessName.MIGRATE) == ["m1", "m2"]
    assert read(*everything, ecs_task="w") == ["m2", "w1", "w2"]


def test_late_line_of_another_stream_is_followed_and_nothing_comes_twice(aws: Aws) -> None:
    make_log_groups()
    write_lines(ProcessName.WORKER, "worker/worker/w1", (NOW, "first"), (NOW + 100, "third"))
    follower = Follower(
        groups(aws, (ProcessName.WORKER,)), datetime.fromtimestamp(NOW / 1000 - 60, UTC),
        clock_at(NOW + 1000),
    )  # fmt: skip
    assert [each.message for each in follower.poll()] == ["first", "third"]
    write_lines(ProcessName.WORKER, "worker/worker/w2", (NOW + 50, "second"))
    assert [each.message for each in follower.poll()] == ["second"]
    assert follower.poll() == []


def test_more_lines_than_a_page_holds_are_all_read(aws: Aws) -> None:
    make_log_groups()
    for start in range(0, 12_000, 6000):
        write_lines(
            ProcessName.API, "api/api/a1",
            *((NOW + number, str(number)) for number in range(start, start + 6000)),
        )  # fmt: skip
    found = history(groups(aws, (ProcessName.API,)), datetime.fromtimestamp(NOW / 1000, UTC))
    assert [each.message for each in found] == [str(number) for number in range(12_000)]
