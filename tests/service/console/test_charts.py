"""The bars of the overview's charts."""

from datetime import UTC, datetime, timedelta

from service.console.charts import chart
from service.queue.reads import MinuteRuns

NOW = datetime(2026, 11, 28, 0, 7, 30, tzinfo=UTC)


def runs(minutes_ago: int, complete: int, failed: int) -> MinuteRuns:
    minute = NOW.replace(second=0) - timedelta(minutes=minutes_ago)
    return MinuteRuns(minute=minute, complete=complete, failed=failed, retried=0)


def test_each_minute_has_its_bar_and_the_last_holds_now() -> None:
    made = chart(
        "Last hour", [runs(60, 9, 9), runs(59, 1, 0), runs(0, 6, 2)], now=NOW, minutes=1, bars=60
    )

    assert len(made.bars) == 60
    assert (made.complete, made.failed, made.most) == (7, 2, 8)
    assert made.bars[0].at == datetime(2026, 11, 27, 23, 8, tzinfo=UTC)
    assert (made.bars[0].complete, made.bars[0].complete_height) == (1, 12.5)
    assert made.bars[-1].at == datetime(2026, 11, 28, 0, 7, tzinfo=UTC)
    assert (made.bars[-1].complete_height, made.bars[-1].failed_height) == (75, 25)


def test_quarters_begin_on_the_quarter() -> None:
    made = chart("Last day", [runs(7, 1, 0), runs(8, 2, 0)], now=NOW, minutes=15, bars=96)

    assert made.bars[-1].at == datetime(2026, 11, 28, 0, 0, tzinfo=UTC)
    assert (made.bars[-1].complete, made.bars[-2].complete) == (1, 2)
    assert made.bars[0].at == datetime(2026, 11, 27, 0, 15, tzinfo=UTC)


def test_nothing_has_happened() -> None:
    made = chart("Last hour", [], now=NOW, minutes=1, bars=60)

    assert (made.most, made.complete, made.failed) == (0, 0, 0)
    assert {bar.complete_height for bar in made.bars} == {0}
