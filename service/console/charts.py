"""The bars of a chart: how many runs ended in each part of the last hour, or of the last day."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from service.queue.reads import MinuteRuns

HEIGHT = 100  # of the drawing; its width is the number of bars


@dataclass(frozen=True)
class Bar:
    """One part of the time, and how high its two pieces are in the drawing."""

    at: datetime
    complete: int
    failed: int
    complete_height: float
    failed_height: float


@dataclass(frozen=True)
class Chart:
    """All bars, the oldest first, and their sums."""

    title: str
    bars: list[Bar]
    complete: int
    failed: int
    most: int  # the highest bar's runs


def chart(
    title: str, runs: Iterable[MinuteRuns], *, now: datetime, minutes: int, bars: int
) -> Chart:
    """A chart of `bars` bars of `minutes` minutes each, the last of which holds `now`."""
    width = timedelta(minutes=minutes)
    first = _floor(now, minutes) - (bars - 1) * width
    counts = [[0, 0] for _ in range(bars)]
    for each in runs:
        place = (each.minute - first) // width
        if 0 <= place < bars:
            counts[place][0] += each.complete
            counts[place][1] += each.failed
    most = max(sum(each) for each in counts)
    scale = HEIGHT / most if most else 0.0
    return Chart(
        title=title,
        bars=[
            Bar(first + place * width, complete, failed, complete * scale, failed * scale)
            for place, (complete, failed) in enumerate(counts)
        ],
        complete=sum(complete for complete, _ in counts),
        failed=sum(failed for _, failed in counts),
        most=most,
    )


def _floor(moment: datetime, minutes: int) -> datetime:
    day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + ((moment - day) // timedelta(minutes=minutes)) * timedelta(minutes=minutes)
