"""The filter of the jobs page, as it stands in the address."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from service.problem import InvalidFieldError
from service.queue.job import STATUSES
from service.queue.job_filter import JobFilter, PayloadField

FILTERS = ("status", "task", "queue", "worker", "since", "until", "error", "key")


def read_filter(given: Mapping[str, str], payload: Sequence[str]) -> JobFilter:
    """The filter. An empty field says nothing; `payload` has words such as `user.id=7`.

    Raises `InvalidFieldError`, and what `JobFilter` raises.
    """
    if given["status"] and given["status"] not in STATUSES:
        raise InvalidFieldError("status", f"is none of {', '.join(STATUSES)}")
    words = {name: value for name, value in given.items() if value and name in FILTERS[:4]}
    return JobFilter(
        **words,
        error=given["error"] or None,
        key=given["key"] or None,
        since=_moment("since", given["since"]),
        until=_moment("until", given["until"]),
        payload=tuple(_field(word) for word in payload),
    )


def _moment(field: str, text: str) -> datetime | None:
    try:
        found = datetime.fromisoformat(text) if text else None
    except ValueError:
        raise InvalidFieldError(field, f"{text!r} is no time such as 2026-11-28T10:00") from None
    return found.replace(tzinfo=UTC) if found and not found.tzinfo else found


def _field(word: str) -> PayloadField:
    path, equals, value = word.partition("=")
    if not equals or not path:
        # not the word: it may be a password
        raise InvalidFieldError("payload", "is not a path and a value, such as user.id=7")
    return PayloadField(path=path, value=value)
