"""When a schedule ticks, also when the clocks change."""

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.queue.cron import Timing, TimingError

BERLIN = ZoneInfo("Europe/Berlin")
# 2026: set forward on 29 March at 02:00, back on 25 October at 03:00
BEFORE_SPRING = datetime(2026, 3, 28, 12, 0, tzinfo=BERLIN)
BEFORE_AUTUMN = datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN)


def ticks(timing: Timing, start: datetime, count: int) -> list[str]:
    """The next ticks as the zone's clocks show them, with their offset."""
    moment, found = start.timestamp(), []
    for _ in range(count):
        moment = timing.next_after(moment)
        found.append(datetime.fromtimestamp(moment, ZoneInfo(timing.tz)).isoformat()[5:])
    return found


def test_a_time_that_the_clocks_skip_ticks_an_hour_later() -> None:
    assert ticks(Timing.parse(cron="30 2 * * *", tz="Europe/Berlin"), BEFORE_SPRING, 2) == [
        "03-29T03:30:00+02:00",
        "03-30T02:30:00+02:00",
    ]


def test_a_time_that_the_clocks_show_twice_ticks_once() -> None:
    assert ticks(Timing.parse(cron="30 2 * * *", tz="Europe/Berlin"), BEFORE_AUTUMN, 2) == [
        "10-25T02:30:00+02:00",
        "10-26T02:30:00+01:00",
    ]


def test_a_line_for_every_hour_ticks_in_both_hours_and_misses_none() -> None:
    hourly = Timing.parse(cron="0 * * * *", tz="Europe/Berlin")
    autumn = datetime(2026, 10, 25, 1, 30, tzinfo=BERLIN)
    assert ticks(hourly, autumn, 3) == [
        "10-25T02:00:00+02:00",
        "10-25T02:00:00+01:00",
        "10-25T03:00:00+01:00",
    ]
    spring = datetime(2026, 3, 29, 1, 30, tzinfo=BERLIN)
    assert ticks(hourly, spring, 2) == ["03-29T03:00:00+02:00", "03-29T04:00:00+02:00"]


def test_a_skipped_time_of_every_other_hour_brings_no_hour_that_the_line_does_not_name() -> None:
    spring = datetime(2026, 3, 29, 0, 0, tzinfo=BERLIN)
    assert ticks(Timing.parse(cron="30 */2 * * *", tz="Europe/Berlin"), spring, 3) == [
        "03-29T00:30:00+01:00",
        "03-29T03:30:00+02:00",
        "03-29T04:30:00+02:00",
    ]
    # at midnight of a Friday
    thursday = datetime(2026, 4, 23, 12, 0, tzinfo=ZoneInfo("Africa/Cairo"))
    assert ticks(Timing.parse(cron="30 * * * 5", tz="Africa/Cairo"), thursday, 2) == [
        "04-24T01:30:00+03:00",
        "04-24T02:30:00+03:00",
    ]


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    minutes=st.sampled_from([1, 5, 10, 15, 20, 30]),
    tz=st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Asia/Kathmandu"]),
)
def test_every_few_minutes_means_every_few_minutes_all_year(
    start: datetime, minutes: int, tz: str
) -> None:
    timing = Timing.parse(cron=f"*/{minutes} * * * *", tz=tz)
    moment = timing.next_after(start.replace(tzinfo=UTC).timestamp())
    for _ in range(5):
        after = timing.next_after(moment)
        assert after - moment == minutes * 60
        moment = after


@given(
    start=st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
    hour=st.integers(0, 23),
    minute=st.integers(0, 59),
    tz=st.sampled_from(["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe"]),
)
def test_a_daily_time_ticks_once_on_each_day(
    start: datetime, hour: int, minute: int, tz: str
) -> None:
    timing = Timing.parse(cron=f"{minute} {hour} * * *", tz=tz)
    moment, days = timing.next_after(start.replace(tzinfo=UTC).timestamp()), []
    for _ in range(4):
        days.append(datetime.fromtimestamp(moment, ZoneInfo(tz)).date())
        moment = timing.next_after(moment)
    assert days == [days[0] + timedelta(days=number) for number in range(4)]


@pytest.mark.parametrize(
    ("text", "seconds", "shown"),
    [
        ("30 minutes", 1800, "30 minutes"),
        ("every 30 minutes", 1800, "30 minutes"),
        ("hour", 3600, "1 hour"),
        ("every day", 86400, "1 day"),
        ("90 seconds", 90, "90 seconds"),
        ("120 minutes", 7200, "2 hours"),
    ],
)
def test_a_span_is_read_as_people_write_it(text: str, seconds: int, shown: str) -> None:
    timing = Timing.parse(every=text)
    assert (timing.every_seconds, timing.every) == (seconds, shown)
    assert timing.next_after(1_000_000_000) % seconds == 0


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({}, "cron"),
        ({"cron": "* * * * *", "every": "1 hour"}, "cron"),
        ({"cron": "@daily"}, "cron"),
        ({"cron": "0 0 31 2 *"}, "cron"),
        ({"cron": "* * * * * *"}, "cron"),
        ({"cron": "R 2 * * *"}, "cron"),
        ({"cron": "0 r(1-5) * * *"}, "cron"),
        ({"every": "0 minutes"}, "every"),
        ({"every": "-5 minutes"}, "every"),
        ({"every": "9999999 weeks"}, "every"),
        ({"every": "fortnight"}, "every"),
        ({"cron": "0 2 * * *", "tz": "Mars/Olympus"}, "tz"),
    ],
)
def test_a_wrong_time_is_refused_by_field(given: dict[str, str], field: str) -> None:
    with pytest.raises(TimingError) as raised:
        Timing.parse(**given)
    assert raised.value.field == field


SPELLED = [
    ("0 9-9 * * *", "0 9 * * *"),
    ("5-5/2 * * * *", "5 * * * *"),
    ("0-59/60 * * * *", "0 * * * *"),
    ("7-7,7 * * * *", "7 * * * *"),
    ("50-10/10 * * * *", "50,0,10 * * * *"),
    ("5/20 22-2 * * *", "5,25,45 22,23,0,1,2 * * *"),
    ("0 0 31-31 * *", "0 0 31 * *"),
    ("0 0 31-1 * *", "0 0 31,1 * *"),
    ("0 0 1 DEC-dec *", "0 0 1 12 *"),
    ("0 0 1 nov-feb *", "0 0 1 11,12,1,2 *"),
    ("0 0 * * mon-mon", "0 0 * * 1"),
    ("0 0 * * 7-7", "0 0 * * 0"),
    ("0 0 * * 0-0/3", "0 0 * * 0"),
    ("0 0 * * fri-mon", "0 0 * * 5,6,0,1"),
    ("0 0 * * 7-2", "0 0 * * 0,1,2"),
    ("0 0 * * 7-0", "0 0 * * sun"),
    ("0 0 * * fri-7", "0 0 * * 5,6,0"),
    (" 0\t9-9  * * * ", "0 9 * * *"),
]


@pytest.mark.parametrize(("cron", "plain"), SPELLED)
def test_a_range_names_its_values_and_no_others(cron: str, plain: str) -> None:
    for start in (1_000_000_000, 1_700_000_000):
        moment, other = float(start), float(start)
        for _ in range(20):
            moment = Timing.parse(cron=cron).next_after(moment)
            other = Timing.parse(cron=plain).next_after(other)
            assert moment == other


LIMITS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
Part = tuple[str, set[int]]


@st.composite
def part(draw: st.DrawFn, place: int) -> Part:
    """A field as text, and the values that it names by the rules of crontab(5)."""
    low, high = LIMITS[place]
    size, texts, values = high - low + 1, [], set()
    for _ in range(draw(st.integers(1, 2))):
        first, span = draw(st.integers(low, high)), draw(st.sampled_from([0, 0, 1, 2, 5]))
        step = draw(st.sampled_from([1, 1, 2, 3, 60]))
        last = (first - low + span) % size + low
        texts.append(f"{first}-{last}{f'/{step}' if step > 1 else ''}" if span or step > 1
                     or draw(st.booleans()) else str(first))  # fmt: skip
        values |= {(first - low + at) % size + low for at in range(0, span + 1, step)}
    return ",".join(texts), values


def ticks_by_hand(parts: list[Part | None], start: datetime, count: int) -> list[datetime]:
    minutes, hours, days, months, weekdays = (
        set(range(low, high + 1)) if each is None else each[1]
        for each, (low, high) in zip(parts, LIMITS, strict=True)
    )
    found: list[datetime] = []
    for day in range(366 * 5):
        date = start.date() + timedelta(days=day)
        in_month, in_week = date.day in days, date.isoweekday() % 7 in weekdays
        # either day is enough where both fields choose
        is_day = in_month or in_week if parts[2] and parts[4] else in_month and in_week
        if date.month in months and is_day:
            found += [
                tick
                for hour in sorted(hours)
                for minute in sorted(minutes)
                if (tick := datetime(date.year, date.month, date.day, hour, minute, tzinfo=UTC))
                > start
            ]
        if len(found) >= count:
            break
    return found[:count]


@settings(max_examples=60, deadline=None)
@given(
    st.tuples(*(st.none() | part(place) for place in range(5))),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001
)
def test_any_line_ticks_when_it_says(given_parts: tuple[Part | None, ...], at: datetime) -> None:
    parts, start = list(given_parts), at.replace(tzinfo=UTC)
    line = " ".join(each[0] if each else "*" for each in parts)
    expected = ticks_by_hand(parts, start, 12)
    if not expected:
        return  # 30 February
    timing, moment, found = Timing.parse(cron=line), start.timestamp(), []
    for _ in expected:
        moment = timing.next_after(moment)
        found.append(datetime.fromtimestamp(moment, UTC))
    assert found == expected, line


@pytest.mark.parametrize(
    ("cron", "says"),
    [
        ("@daily", "it needs five fields, not 1"),
        ("0 0 * * * *", "it needs five fields, not 6"),
        ("*/0 * * * *", "a step is 1 or more"),
        ("60 * * * *", "its minute '60' is none of 0 to 59"),
        ("0 24 * * *", "its hour '24' is none of 0 to 23"),
        ("0 0 0 * *", "its day-of-month '0'"),
        ("0 0 1 13 *", "its month '13' is none of 1 to 12 or jan to dec"),
        ("0 0 * * 8", "its day-of-week '8' is none of 0 to 7 or sun to sat"),
        ("0 0 * * montag", "its day-of-week 'montag'"),
        ("1,,2 * * * *", "its minute ''"),
        ("-5 * * * *", "its minute '-5'"),
        ("5- * * * *", "its minute '5-'"),
        ("*-5 * * * *", "its minute '*-5'"),
        ("? * * * *", "its minute '?'"),
        ("L * * * *", "its minute 'l'"),
        ("\u0665 * * * *", "its minute '\u0665'"),  # a digit
        ("H * * * *", "its minute 'h'"),
        ("0 0 1 * mon#1", "with L, W or # in one field of days"),
        ("0 0 L * 5", "with L, W or #"),
        ("0 0 15W * 3", "with L, W or #"),
        ("0 0 */2 * L5", "with L, W or #"),
        ("0 0 31 2 *", "no date fits it"),
    ],
)
def test_a_wrong_line_is_refused_with_its_field(cron: str, says: str) -> None:
    with pytest.raises(TimingError, match=re.escape(says)):
        Timing.parse(cron=cron)


@pytest.mark.parametrize("cron", ["0 2 * MAR,apr THU", "0 2 L * *", "0 2 * * fri#2", "0 2 ? * L5"])
def test_names_and_last_days_are_read(cron: str) -> None:
    assert Timing.parse(cron=cron).next_after(1_000_000_000) % 86400 == 7200
