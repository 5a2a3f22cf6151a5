"""Failed and aborted jobs by their cause: task, and the last line of the error without values."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from service.redact import HIDDEN, redacted_text

JOBS_MAX = 5000  # the newest, of which the causes are told
CAUSES_MAX = 200
LINE_MAX_CHARACTERS = 1000
SHOWN_MAX_CHARACTERS = 200
TEXT_MIN_CHARACTERS = 4  # of a text to look for: a shorter one is in too many errors
ANY = "…"
NO_ERROR = "no error is recorded"
# What differs from job to job: ids, addresses in memory, quoted values, numbers.
VALUES = re.compile(
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b0x[0-9a-fA-F]+\b|\b(?=[a-fA-F]*\d)[0-9a-fA-F]{12,}\b"
    r"|(?<!\w)'[^']*'(?!\w)|\"[^\"]*\"|\d+(?:[.,:]\d+)*"
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """Jobs of one task whose errors have the same last line."""

    task: str
    status: str  # failed or aborted
    line: str
    jobs: int
    first_at: datetime
    last_at: datetime
    last_id: int
    last_key: str


@dataclass(frozen=True, kw_only=True)
class Cause:
    """Jobs of one task that ended for the same reason."""

    task: str
    status: str
    cause: str
    jobs: int
    first_at: datetime
    last_at: datetime
    last_key: str
    text: str | None  # that all their errors have; None where it would be too short to look for


@dataclass(frozen=True, kw_only=True)
class Causes:
    """The causes, the most frequent first; `is_whole`: of all such jobs in the history."""

    items: list[Cause]
    looked_at: int
    is_whole: bool


def last_line(error: str | None) -> str:
    """The last line of a traceback: the error itself."""
    return (error or "").rstrip().rpartition("\n")[2].strip()[:LINE_MAX_CHARACTERS]


def cause_of(line: str) -> str:
    """The line with an ellipsis for each value, and without passwords in addresses."""
    shown = VALUES.sub(ANY, redacted_text(line).replace(HIDDEN, ANY)).strip()
    return shown[:SHOWN_MAX_CHARACTERS] or NO_ERROR


def group(lines: Iterable[Line]) -> list[Cause]:
    """The causes of the lines, the most frequent first."""
    found: dict[tuple[str, str, str], list[Line]] = {}
    for each in lines:
        found.setdefault((each.task, each.status, cause_of(each.line)), []).append(each)
    causes = [
        Cause(
            task=task,
            status=status,
            cause=cause,
            jobs=sum(each.jobs for each in those),
            first_at=min(each.first_at for each in those),
            last_at=max(each.last_at for each in those),
            last_key=max(those, key=lambda each: each.last_id).last_key,
            text=_text(cause),
        )
        for (task, status, cause), those in found.items()
    ]
    return sorted(causes, key=lambda each: (-each.jobs, each.task, each.cause))[:CAUSES_MAX]


def _text(cause: str) -> str | None:
    """The longest part of the cause that is in each of the errors as it stands."""
    parts = [] if cause == NO_ERROR else [part.strip() for part in cause.split(ANY)]
    longest = max(parts, key=len, default="")
    return longest if len(longest) >= TEXT_MIN_CHARACTERS else None
