"""The filters of a list of jobs as query parameters."""

from datetime import UTC, datetime
from typing import Annotated

from litestar.params import QueryParameter

from service.problem import InvalidFieldError
from service.queue.job_filter import PayloadField

Task = Annotated[str | None, QueryParameter(description="Only of this task")]
OfQueue = Annotated[str | None, QueryParameter(name="queue", description="Only of this queue")]
Worker = Annotated[
    str | None, QueryParameter(description="Only what this worker runs, or ran last")
]
Since = Annotated[
    str | None,
    QueryParameter(description="Only created then or later: 2026-11-28T10:00Z; UTC without a zone"),
]
Until = Annotated[str | None, QueryParameter(description="Only created before")]
ErrorText = Annotated[
    str | None,
    QueryParameter(
        name="error", description="Only failed or aborted with this text in their error"
    ),
]
Key = Annotated[
    str | None, QueryParameter(description="The job with this key; `welcome-*`: keys that begin so")
]
PayloadFields = Annotated[
    list[str] | None,
    QueryParameter(
        name="payload",
        description="Only with this field in a payload that is still kept: `user.id=7`; may be "
        "given several times",
    ),
]


def moment(field: str, text: str | None) -> datetime | None:
    """The time. Raises `InvalidFieldError`."""
    if text is None:
        return None
    try:
        # A query has a space where somebody has not escaped the plus of a time zone.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidFieldError(
            field, f"{text!r} is no time such as 2026-11-28T10:00:00Z or 2026-11-28"
        ) from None


def payload_fields(words: list[str] | None) -> tuple[PayloadField, ...]:
    """The fields of `user.id=7` and the like. Raises `InvalidFieldError`."""
    found = []
    for word in words or ():
        path, equals, value = word.partition("=")
        if not equals or not path:
            # not the word: it may be a password
            raise InvalidFieldError("payload", "is not a path and a value, such as user.id=7")
        found.append(PayloadField(path=path, value=value))
    return tuple(found)
