"""When a schedule ticks: by a cron line in a time zone, or at an interval."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

EVERY = re.compile(r"(?:every )?(?:(\d{1,7}) )?(second|minute|hour|day|week)s?", re.IGNORECASE)
ITEM = re.compile(
    r"(?P<first>\*|[a-z0-9]+)(?:(?<!\*)-(?P<last>[a-z0-9]+))?(?:/(?P<step>[0-9]{1,4}))?"
)
# croniter's own items for days: L, 15W and ? of a month; L5 (the last Friday) and 5#2 (the second).
OF_DAYS = re.compile(r"l|[0-9]{1,2}w|\?|l[0-7]|[a-z0-9]{1,3}#[1-5]")
SOME_DAY = re.compile(r"#|\bl|[0-9]w\b")
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
EVERY_MAX_SECONDS = 366 * 86400
# Longer than any change of the clocks since 1970: nearly all are an hour, the longest two hours.
SHIFT = timedelta(hours=3)


class TimingError(ValueError):
    """The cron line, interval or zone is wrong; `field` names the option."""

    def __init__(self, field: str, problem: str) -> None:
        super().__init__(f"{field}: {problem}")
        self.field = field
        self.problem = problem


@dataclass(frozen=True)
class Timing:
    """A cron line in a zone, or a number of seconds: exactly one of `cron` and `every_seconds`."""

    cron: str | None
    every_seconds: int | None
    tz: str = "UTC"

    @classmethod
    def parse(
        cls, *, cron: str | None = None, every: str | None = None, tz: str = "UTC"
    ) -> "Timing":
        """From what people write: `cron="0 2 * * *"` or `every="30 minutes"`.

        Raises `TimingError`.
        """
        if (cron is None) == (every is None):
            both = "is given and so is every" if cron else "is missing and so is every"
            raise TimingError("cron", f"{both}: give exactly one of them")
        try:
            ZoneInfo(tz)
        except (KeyError, ValueError, OSError):
            raise TimingError(
                "tz", "is not a time zone; give an IANA name such as 'Europe/Berlin' or 'UTC'"
            ) from None
        if cron is not None:
            spell_out(cron)
            return cls(cron, None, tz)
        found = EVERY.fullmatch((every or "").strip())
        seconds = int(found[1] or 1) * SECONDS[found[2].lower()] if found else 0
        if not 1 <= seconds <= EVERY_MAX_SECONDS:
            raise TimingError(
                "every",
                "is not an interval; give one such as '30 minutes', '6 hours' or '1 day', "
                "from one second to 366 days",
            )
        return cls(None, seconds, tz)

    @property
    def every(self) -> str | None:
        """The interval as people write it: `30 minutes`."""
        if self.every_seconds is None:
            return None
        unit = next(u for u in reversed(SECONDS) if self.every_seconds % SECONDS[u] == 0)
        count = self.every_seconds // SECONDS[unit]
        return f"{count} {unit}{'' if count == 1 else 's'}"

    def next_after(self, moment: float) -> int:
        """The first tick after `moment`, both in epoch seconds.

        `every` counts from 1970-01-01 00:00 UTC, so that all workers agree. Where the clocks of the
        zone go forward, a time that does not exist ticks as much later (02:30 at 03:30). Where they
        go back, a time that exists twice ticks once, the first time; a line for every hour (`*` or
        `*/n`) ticks in both hours.
        """
        if self.every_seconds is not None:
            return (int(moment) // self.every_seconds + 1) * self.every_seconds
        local = datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None)
        if self._offset(moment, -SHIFT) == self._offset(moment, SHIFT):
            tick: datetime = croniter(self._line, local).get_next(datetime)
            return self._moments(tick)[0]
        return self._first_of(croniter(self._line, local - SHIFT), moment, local + SHIFT)

    def _first_of(self, ticks: croniter, moment: float, enough: datetime) -> int:
        """The first tick near a change of the clocks, where wall-clock order is not time order."""
        found: list[int] = []
        while True:
            tick: datetime = ticks.get_next(datetime)
            if found and tick > enough:
                return min(found)
            found += [each for each in self._moments(tick) if each > moment]

    def _moments(self, tick: datetime) -> list[int]:
        """The moments at which the clocks show `tick`: two, where they go back over it."""
        first, second = (
            int(tick.replace(tzinfo=self._zone, fold=fold).timestamp()) for fold in (0, 1)
        )
        # For a time that does not exist, fold=1 is earlier, in an hour the line may not name.
        return [first, second] if self._is_every_hour and second > first else [first]

    def _offset(self, moment: float, by: timedelta) -> timedelta | None:
        return (datetime.fromtimestamp(moment, UTC) + by).astimezone(self._zone).utcoffset()

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    @cached_property
    def _line(self) -> str:
        assert self.cron is not None
        return spell_out(self.cron)

    @cached_property
    def _is_every_hour(self) -> bool:
        return self.cron is not None and self.cron.split()[1].startswith("*")


@dataclass(frozen=True)
class Field:
    """One of the five fields of a cron line."""

    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()  # the names of its values, from `first` on

    def spell_out(self, text: str) -> str:
        """`text` with each range written as its values, because croniter reads 9-9 as every hour.

        `*` stays, because it means that the field does not restrict. `L`, `#`, `W` and `?` stay,
        because croniter knows them. Raises `TimingError`.
        """
        return ",".join(self._item(item) for item in text.lower().split(","))

    def _item(self, item: str) -> str:
        # croniter's R and H are refused: they are random, so each worker would have its own times
        if OF_DAYS.fullmatch(item) and self in FIELDS[2::2]:
            return item
        found = ITEM.fullmatch(item)
        if found is None:
            raise self._error(item)
        step = int(found["step"] or 1)
        if step == 0:
            raise self._error(item, "; a step is 1 or more")
        if found["first"] == "*":
            return item
        first = self._value(found["first"], item)
        if found["last"] is None and found["step"] is None:
            return str(first)
        last = self.last if found["last"] is None else self._value(found["last"], item)
        if found["last"] is None and self.names == DAYS:
            last = self.last - 1  # Sunday is in already, as 0
        size = self.last - self.first + (self.names != DAYS)
        span = (last - first) % size if last < first else last - first
        values = [first + at for at in range(0, span + 1, step)]
        return ",".join(
            str(value if value <= self.last else value - size) for value in dict.fromkeys(values)
        )

    def _value(self, word: str, item: str) -> int:
        if word in self.names:
            return self.first + self.names.index(word)
        if not word.isdecimal() or not self.first <= int(word) <= self.last:
            raise self._error(item)
        return int(word)

    def _error(self, item: str, more: str = "") -> TimingError:
        names = f" or {self.names[0]} to {self.names[-1]}" if self.names else ""
        return TimingError(
            "cron",
            f"is not a cron line: its {self.name} {item!r} is none of {self.first} to "
            f"{self.last}{names}, a range like {self.first}-{self.first + 2}, a list with commas, "
            f"* or */2{more}",
        )


MONTHS = tuple(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"])
DAYS = tuple(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])
FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day-of-month", 1, 31),
    Field("month", 1, 12, MONTHS),
    Field("day-of-week", 0, 7, DAYS),
)


def spell_out(cron: str) -> str:
    """The line in the form that croniter reads. Raises `TimingError`."""
    texts = cron.split()
    # croniter itself would accept six fields (with seconds) and names such as @daily.
    if len(texts) != len(FIELDS):
        raise TimingError(
            "cron",
            f"is not a cron line: it needs five fields, not {len(texts)}: "
            f"{' '.join(field.name for field in FIELDS)}"
            + ("; names such as @daily are not allowed" if cron.lstrip().startswith("@") else ""),
        )
    line = " ".join(field.spell_out(text) for field, text in zip(FIELDS, texts, strict=True))
    _, _, day, _, weekday = texts
    # croniter would ignore one of the two fields
    if SOME_DAY.search(f"{day} {weekday}".lower()) and not {day, weekday} & {"*", "?"}:
        raise TimingError(
            "cron",
            "is not a cron line: with L, W or # in one field of days the other is *; "
            "make two schedules instead",
        )
    try:
        croniter(line, datetime(2024, 1, 1)).get_next(datetime)  # noqa: DTZ001 - the clock's face
    except (CroniterError, ValueError, KeyError):
        raise TimingError("cron", "is not a cron line: no date fits it") from None
    return line
