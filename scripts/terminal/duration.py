"""Durations as operators type and read them."""

import re
from datetime import timedelta

UNITS = {"d": "days", "h": "hours", "m": "minutes", "s": "seconds"}
FORM = re.compile("".join(rf"(?:(?P<{unit}>\d+){unit})?" for unit in UNITS))


def parse_duration(text: str) -> timedelta:
    """Read `90s`, `15m`, `2h`, `1d` or `1h30m`. Raises `ValueError` for other text and for zero."""
    found = FORM.fullmatch(text.strip().lower())
    parts = {UNITS[unit]: int(n) for unit, n in (found.groupdict() if found else {}).items() if n}
    try:
        duration = timedelta(**parts)
    except OverflowError:
        duration = timedelta()
    if not duration:
        raise ValueError(f"{text!r} is no duration: 90s, 15m, 2h, 1d or 1h30m")
    return duration


def in_words(duration: timedelta) -> str:
    """The duration in its two largest units: `1 h 30 min`, `45 s`."""
    seconds = max(int(duration.total_seconds()), 0)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        parts = ((days, "d"), (hours % 24, "h"))
    elif hours:
        parts = ((hours, "h"), (minutes % 60, "min"))
    elif minutes:
        parts = ((minutes, "min"), (seconds % 60, "s"))
    else:
        return f"{seconds} s"
    return " ".join(f"{number} {unit}" for number, unit in parts if number)
