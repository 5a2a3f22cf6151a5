"""Which jobs of the history are asked for, and the page of them that is answered."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any

from service.queue.errors import InvalidOptionError
from service.queue.job import BAD, STATUSES, JobRecord
from service.redact import redacted

PAYLOAD_FIELDS_MAX = 8  # each is looked for in each payload
PATH_NAMES_MAX = 32
ANY_KEY = "*"  # at the end of `JobFilter.key`


@dataclass(frozen=True, kw_only=True)
class PayloadField:
    """A field of the payload and its value: `user.id` with `7`, `items.0.sku` with `A-1`.

    The value is as one types it: `7` is the number and the text, `true` and `null` are JSON's.
    """

    path: str
    value: str

    @property
    def names(self) -> list[str]:
        return self.path.split(".")

    @property
    def as_json(self) -> str | None:
        """The value as JSON; None where it is only text."""
        try:
            json.loads(self.value, parse_constant=_refuse)
        except (ValueError, RecursionError):
            return None
        return self.value

    @property
    def is_hidden(self) -> bool:
        """Would the API hide this value, by a name in the path or in the value itself?"""
        shown: Any = self.value if self.as_json is None else json.loads(self.as_json)
        for name in reversed(self.names):
            shown = {name: shown}
        return bool(redacted(shown) != shown)

    def is_in(self, payload: Any) -> bool:
        """Has the payload this field with this value?"""
        found = payload
        for name in self.names:
            if isinstance(found, dict) and name in found:
                found = found[name]
            elif isinstance(found, list) and name.isdecimal() and int(name) < len(found):
                found = found[int(name)]
            else:
                return False
        if found == self.value or self.as_json is None:
            return bool(found == self.value)
        value = json.loads(self.as_json)
        return bool(found == value) and isinstance(found, bool) == isinstance(value, bool)


@dataclass(frozen=True, kw_only=True)
class JobFilter:
    """The jobs for which all of the given are true. Raises `InvalidOptionError` by the field.

    Times have a time zone. `since` and `until` are of `created_at`, when the transaction began in
    which the job was enqueued.
    """

    status: str | None = None
    task: str | None = None
    queue: str | None = None
    worker: str | None = None  # that runs the job, or ran its last attempt
    since: datetime | None = None
    until: datetime | None = None
    error: str | None = None  # a part of the error of a failed or aborted job
    key: str | None = None  # the whole key, or its beginning and `*`
    payload: tuple[PayloadField, ...] = ()  # only jobs of which the queue still keeps the payload

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value == "":
                raise InvalidOptionError(field.name, "is empty; leave it out")
            if isinstance(value, str) and "\0" in value:
                raise InvalidOptionError(field.name, "holds a NUL, which no job has there")
        if len(self.payload) > PAYLOAD_FIELDS_MAX:
            raise InvalidOptionError("payload", f"is given more than {PAYLOAD_FIELDS_MAX} times")
        for each in self.payload:
            if len(each.names) > PATH_NAMES_MAX:
                raise InvalidOptionError(
                    "payload", f"has more than {PATH_NAMES_MAX} names in a path"
                )
            if not all(each.names) or "\0" in each.path + each.value:
                raise InvalidOptionError(
                    "payload", f"{each.path!r} is no path of fields, such as user.id"
                )
            if each.is_hidden:
                raise InvalidOptionError(
                    "payload", f"{each.path!r} is hidden where jobs are shown, and so in a search"
                )
        if self.error is not None and self.status not in (None, *BAD):
            raise InvalidOptionError(
                "error", f"goes with the status {' or '.join(BAD)}, or with none"
            )
        if self.since is not None and self.until is not None and self.since >= self.until:
            raise InvalidOptionError("until", "is not later than `since`")

    @property
    def key_start(self) -> str | None:
        """The beginning of the keys; None where the whole key is asked for, or any."""
        if self.key is None or not self.key.endswith(ANY_KEY):
            return None
        return self.key.removesuffix(ANY_KEY)


FILTERS = tuple(field.name for field in fields(JobFilter))


@dataclass(frozen=True, kw_only=True)
class RecordPage:
    """Some jobs of the history, newest first.

    A search looks at so many jobs and no more. Where it stops before the page is full, the page may
    have few jobs, or none, and `before` leads to those further back.
    """

    records: list[JobRecord]
    before: int | None  # what the next page is asked for with; None: there is none
    searched_until: datetime | None = None  # where it stopped: every newer job was looked at


def read_filter(words: Mapping[str, Any]) -> JobFilter:
    """The filter of words as in an address: `{"status": "failed", "payload": ["user.id=7"]}`.

    Raises `InvalidOptionError` by the word.
    """
    given = dict(words)
    for name in given:
        if name not in FILTERS:
            raise InvalidOptionError(name, f"is no filter; there is {', '.join(FILTERS)}")
    if given.get("status", STATUSES[0]) not in STATUSES:
        raise InvalidOptionError("status", f"is none of {', '.join(STATUSES)}")
    for name in ("since", "until"):
        if name in given:
            given[name] = _moment(name, given[name])
    given["payload"] = tuple(_payload_field(word) for word in given.get("payload", ()))
    return JobFilter(**given)


def _moment(name: str, text: str) -> datetime:
    try:
        # A query has a space where somebody has not escaped the plus of a time zone.
        found = datetime.fromisoformat(text.replace(" ", "+") if "T" in text else text)
        return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise InvalidOptionError(
            name, f"{text!r} is no time such as 2026-11-28T10:00:00Z or 2026-11-28"
        ) from None


def _payload_field(word: str) -> PayloadField:
    path, equals, value = word.partition("=")
    if not equals or not path:
        # not the word: it may be a password
        raise InvalidOptionError("payload", "is not a path and a value, such as user.id=7")
    return PayloadField(path=path, value=value)


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")
