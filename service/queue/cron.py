"""When a schedule comes: a cron line read in a time zone, or every so often."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

from croniter import CroniterError, croniter

EVERY = re.compile(r"(?:every )?(?:(\d{1,7}) )?(second|minute|hour|day|week)s?", re.IGNORECASE)
RANDOM = re.compile(r"(^|[\s,])[RH]([\s,/(]|$)", re.IGNORECASE)  # croniter's: by chance, by hash
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 7 * 86400}
EVERY_MAX_SECONDS = 366 * 86400
# Clocks have been set by two hours at the most since 1970, by an hour nearly always.
SHIFT = timedelta(hours=3)


class TimingError(ValueError):
    """No time can be made of it. `field` is the option that is wrong."""

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
            raise TimingError("cron", f"{both}: exactly one of them is wanted")
        try:
            ZoneInfo(tz)
        except (KeyError, ValueError, OSError):
            raise TimingError(
                "tz", "is not a time zone; IANA names such as 'Europe/Berlin' or 'UTC' are"
            ) from None
        if cron is not None:
            if not _comes(cron):
                raise TimingError(
                    "cron",
                    "is not a cron line that ever comes; five fields: "
                    "minute hour day-of-month month day-of-week",
                )
            return cls(cron, None, tz)
        found = EVERY.fullmatch((every or "").strip())
        seconds = int(found[1] or 1) * SECONDS[found[2].lower()] if found else 0
        if not 1 <= seconds <= EVERY_MAX_SECONDS:
            raise TimingError(
                "every",
                "is no span of time; '30 minutes', '6 hours' or '1 day' are, "
                "from one second to 366 days",
            )
        return cls(None, seconds, tz)

    @property
    def every(self) -> str | None:
        """As people write it: `30 minutes`."""
        if self.every_seconds is None:
            return None
        unit = next(u for u in reversed(SECONDS) if self.every_seconds % SECONDS[u] == 0)
        count = self.every_seconds // SECONDS[unit]
        return f"{count} {unit}{'' if count == 1 else 's'}"

    def next_after(self, moment: float) -> int:
        """The first tick after `moment`, both in epoch seconds.

        `every` counts from 1970-01-01 00:00 UTC, so that it is the same whoever counts. Where the
        clocks of the zone are set forward, a cron time that is skipped comes as much later (02:30
        at 03:30); where they are set back, a fixed hour comes once, the first time it is 02:30, and
        a line for every hour (`*` or `*/n`) comes in both hours.
        """
        if self.every_seconds is not None:
            return (int(moment) // self.every_seconds + 1) * self.every_seconds
        assert self.cron is not None
        local = datetime.fromtimestamp(moment, self._zone).replace(tzinfo=None)
        if self._offset(moment, -SHIFT) == self._offset(moment, SHIFT):
            tick: datetime = croniter(self.cron, local).get_next(datetime)
            return self._moments(tick)[0]
        return self._first_of(croniter(self.cron, local - SHIFT), moment, local + SHIFT)

    def _first_of(self, ticks: croniter, moment: float, enough: datetime) -> int:
        """Of some hours around a shift: what comes first by the clock need not come first."""
        found: list[int] = []
        while True:
            tick: datetime = ticks.get_next(datetime)
            if found and tick > enough:
                return min(found)
            found += [each for each in self._moments(tick) if each > moment]

    def _moments(self, tick: datetime) -> list[int]:
        """When the clocks show `tick`: twice, where they are set back over it."""
        first, second = (
            int(tick.replace(tzinfo=self._zone, fold=fold).timestamp()) for fold in (0, 1)
        )
        # Of a time that is skipped the second is the earlier: an hour the line may not name.
        return [first, second] if self._is_every_hour and second > first else [first]

    def _offset(self, moment: float, by: timedelta) -> timedelta | None:
        return (datetime.fromtimestamp(moment, UTC) + by).astimezone(self._zone).utcoffset()

    @cached_property
    def _zone(self) -> ZoneInfo:
        return ZoneInfo(self.tz)

    @cached_property
    def _is_every_hour(self) -> bool:
        return self.cron is not None and self.cron.split()[1].startswith("*")


def _comes(cron: str) -> bool:
    # croniter would read six fields with seconds, and names such as @daily with a hash.
    # Its R is another time at every look, and each worker would have its own.
    if len(cron.split()) != 5 or cron.startswith("@") or RANDOM.search(cron):
        return False
    try:
        croniter(cron, datetime(2024, 1, 1)).get_next(datetime)  # noqa: DTZ001 - the clock's face
    except (CroniterError, ValueError, KeyError):
        return False
    return True
