"""Reads dates whose time zone is a name; the feed parser only knows those of North America."""

import re
from datetime import UTC, datetime, timedelta
from email.utils import parsedate

# Hours from UTC. For a name that several zones have: the zone of RFC 822, else the most common one.
ZONES: dict[str, float] = {
    "UT": 0, "UTC": 0, "GMT": 0, "Z": 0, "WET": 0,
    "WEST": 1, "BST": 1, "CET": 1, "MET": 1, "MEZ": 1, "WAT": 1,
    "CEST": 2, "MEST": 2, "MESZ": 2, "EET": 2, "SAST": 2, "CAT": 2,
    "EEST": 3, "IDT": 3, "MSK": 3, "TRT": 3, "EAT": 3, "MSD": 4, "GST": 4, "SAMT": 4,
    "PKT": 5, "YEKT": 5, "IST": 5.5, "NPT": 5.75, "ICT": 7, "WIB": 7, "NOVT": 7,
    "HKT": 8, "SGT": 8, "PHT": 8, "AWST": 8, "MYT": 8, "JST": 9, "KST": 9,
    "ACST": 9.5, "ACDT": 10.5, "AEST": 10, "AEDT": 11, "NZST": 12, "NZDT": 13,
    "NDT": -2.5, "NST": -3.5, "BRST": -2, "BRT": -3, "ART": -3, "ADT": -3,
    "AST": -4, "CLT": -4, "EDT": -4, "EST": -5, "COT": -5, "PET": -5, "CDT": -5, "CST": -6,
    "MDT": -6, "MST": -7, "PDT": -7, "PST": -8, "AKDT": -8, "AKST": -9, "HST": -10,
}  # fmt: skip
# The military's one-letter zones. Their signs were mixed up so often that RFC 5322 (4.3) reads them
# as UTC.
MILITARY = re.compile("[A-IK-Y]")
NAMED = re.compile(
    r"(?P<rest>.*[0-9])\s*\b(?P<name>[A-Za-z]{1,4})(?P<hours>[+-][0-9]{1,2})?(?::?(?P<minutes>[0-9]{2}))?"
)
OFFSET = re.compile(r"[+-][0-9]{2}:?[0-9]{2}$")
COMMENT = re.compile(r"\s*\([^()]*\)\s*$")


def named_date(text: str) -> datetime | None:
    """The UTC time of a date that ends in the name of a zone (`CEST`, `GMT+2`), or has no zone.

    None for any other date: the feed parser reads those with an offset.
    """
    text = COMMENT.sub("", text.strip()[:100])
    if not (found := NAMED.fullmatch(text)):
        return _at(text, timedelta())
    name = found["name"].upper()
    hours = ZONES.get(name, 0 if MILITARY.fullmatch(name) else None)
    if hours is None or (found["hours"] and name not in ("GMT", "UTC", "UT")):
        return None
    offset = timedelta(hours=hours)
    if found["hours"]:
        minutes = int(found["minutes"] or 0)
        sign = -1 if found["hours"].startswith("-") else 1
        offset = timedelta(hours=int(found["hours"]), minutes=sign * minutes)
    return _at(found["rest"], offset)


def _at(text: str, offset: timedelta) -> datetime | None:
    try:
        return _local(text) - offset
    except (ValueError, OverflowError):
        return None


def _local(text: str) -> datetime:
    """The time as it is written, without its zone. Raises `ValueError`."""
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        if OFFSET.search(text) or (parts := parsedate(text)) is None:
            raise
        written = datetime(*parts[:6], tzinfo=UTC)
    if written.utcoffset():
        raise ValueError("has an offset beside the name")
    return written.replace(tzinfo=UTC)
