"""A change of many jobs at once, and how far it has come."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from service.queue.errors import InvalidOptionError
from service.queue.job_filter import JobFilter, read_filter

KEYS_MAX = 1000
PRIORITIES = range(2**15)
# Of each action, the states in which a job must be; the first one where a filter names none.
ACTIONS = {
    "retry": ("failed", "aborted", "complete"),
    "cancel": ("queued", "active"),
    "delete": ("failed", "aborted", "complete"),
    "run-now": ("queued",),
    "priority": ("queued",),
}
UNDONE = ("retry", "cancel", "run-now", "priority")  # a deleted payload is gone


@dataclass(frozen=True, kw_only=True)
class BulkRequest:
    """What to do with which jobs. Raises `InvalidOptionError` by the field.

    `wanted` are the words of a filter, as in the address of a list of jobs: `{"status": "failed",
    "payload": ["user.id=7"]}`. Without a `status` it gets the first one of `ACTIONS`. Or `keys`.
    """

    action: str
    wanted: Mapping[str, Any]
    keys: Collection[str] | None = None
    priority: int | None = None
    who: str

    def __post_init__(self) -> None:
        if self.action not in ACTIONS:
            raise InvalidOptionError("action", f"is none of {', '.join(ACTIONS)}")
        if (self.priority is None) is (self.action == "priority"):
            why = "is missing" if self.priority is None else "goes with the action priority alone"
            raise InvalidOptionError("priority", why)
        if self.priority is not None and self.priority not in PRIORITIES:
            raise InvalidOptionError("priority", "is not between 0 and 32767")
        if self.keys is None:
            if not any(self.wanted.values()):
                raise InvalidOptionError("filter", "is empty: name a status at least, or keys")
            self._check_filter()
        elif self.wanted:
            raise InvalidOptionError("keys", "goes without a filter")
        elif not 0 < len(self.keys) <= KEYS_MAX:
            raise InvalidOptionError("keys", f"has {len(self.keys)}; 1 to {KEYS_MAX} are possible")
        elif any("\0" in key for key in self.keys):
            raise InvalidOptionError("keys", "has a NUL, which no job's key has")

    def _check_filter(self) -> None:
        status = self.filter.status
        if status not in ACTIONS[self.action]:
            states = " or ".join(ACTIONS[self.action])
            raise InvalidOptionError("status", f"must be {states} for {self.action}")

    @property
    def words(self) -> dict[str, Any]:
        """The words of the filter, with the status."""
        return {} if self.keys else {"status": ACTIONS[self.action][0], **self.wanted}

    @property
    def filter(self) -> JobFilter:
        """The jobs that come into question."""
        return read_filter(self.words)


@dataclass(frozen=True, kw_only=True)
class BulkAction:
    """A change of many jobs, which some process of the API makes step by step."""

    id: int
    action: str  # one of `ACTIONS`, or `undo`
    priority: int | None
    filter: dict[str, Any]  # words, as in `BulkRequest`
    keys: list[str] | None
    undoes: int | None
    undone_by: int | None
    who: str
    created_at: datetime
    first: int  # a number behind that of the newest job at that time
    last: int  # the number of the oldest job
    place: int  # jobs with lower numbers are still to be looked at
    changed: int
    state: str  # running, stopped or done
    error: str | None  # why it has stopped, where nobody has asked for it
    ended_at: datetime | None

    @property
    def target(self) -> str:
        """The jobs that are meant, in words."""
        if self.undoes is not None:
            return f"bulk action {self.undoes}"
        if self.keys is not None:
            return ", ".join(self.keys[:3]) + (" …" if len(self.keys) > 3 else "")
        return ", ".join(
            f"{name}={each}"
            for name, value in self.filter.items()
            for each in (value if isinstance(value, list) else [value])
        )

    @property
    def share(self) -> float:
        """How much of it is done, 0 to 1."""
        if self.state == "done":
            return 1.0
        whole = self.first - self.last
        return min(max((self.first - self.place) / whole, 0.0), 1.0) if whole > 0 else 0.0

    @property
    def can_be_undone(self) -> bool:
        """Can what it has changed be changed back now?"""
        is_left = self.state != "running" and self.undone_by is None and self.changed > 0
        return is_left and self.action in UNDONE


class BulkActions(Protocol):
    """The changes of many jobs at once. Each raises `BulkNotFoundError` for a wrong number."""

    async def begin(self, request: BulkRequest) -> BulkAction:
        """Note it, to be made from now on. Raises `InvalidOptionError` for what cannot be done."""

    async def undo(self, number: int, who: str) -> BulkAction:
        """Begin to change back what that one has changed. Raises `BulkStateError`."""

    async def get(self, number: int) -> BulkAction:
        """One of them."""

    async def changed(self, numbers: Collection[int]) -> dict[int, int]:
        """How many jobs each of them has changed."""

    async def page(self, *, before: int | None, limit: int) -> list[BulkAction]:
        """At most `limit`, newest first, older than the one with the number `before`."""

    async def stop(self, number: int) -> BulkAction:
        """Make no further step. Raises `BulkStateError` where it has ended."""

    async def resume(self, number: int) -> BulkAction:
        """Go on where it was stopped. Raises `BulkStateError` where it has ended."""
