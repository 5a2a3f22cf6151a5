"""The rows of a queue in memory, one for each job, and the waiting ones in their order."""

import copy
import dataclasses
import heapq
import time
from collections import deque
from collections.abc import Container
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from saq import Status
from saq.job import TERMINAL_STATUSES
from saq.utils import now

from service.queue.attempts import KEPT_MAX, Attempt, Outcome, with_last
from service.queue.job import JobRecord, LeasedJob


@dataclass
class Row:
    """A job as the queue stores it; callers get copies."""

    id: int
    job: LeasedJob
    created_at: float  # epoch seconds, as all times here
    due_at: float
    ticket: int = 0  # names its valid entry among the waiting rows; older entries are void
    finished_at: float | None = None
    expires_at: float | None = None
    started_at: float | None = None  # of the last attempt
    earlier: deque[Attempt] = field(default_factory=lambda: deque(maxlen=KEPT_MAX))

    @property
    def runs(self) -> bool:
        return self.job.status in (Status.ACTIVE, Status.ABORTING)

    @property
    def has_ended(self) -> bool:
        return self.job.status in TERMINAL_STATUSES

    def record(self) -> JobRecord:
        job = self.job
        return JobRecord(
            id=self.id,
            key=job.key,
            queue=job.get_queue().name,
            task=job.function,
            status=job.status.value,
            attempts=job.attempts,
            crashes=0,
            error=job.error,
            worker_id=job.worker_id,
            created_at=_moment(self.created_at),
            scheduled_at=_moment(self.due_at),
            started_at=_moment(self.started_at) if self.started_at else None,
            finished_at=_moment(self.finished_at) if self.finished_at else None,
        )

    def keep_attempt(self, outcome: Outcome, error: str | None) -> None:
        """The attempt that runs ends so, and the job waits again."""
        at = datetime.now(UTC)
        (*_, last) = with_last((), self.record())
        self.earlier.append(replace(last, ended_at=at, outcome=outcome, error=error))

    def keep_end(self) -> None:
        """The ended job waits again."""
        self.earlier.extend(with_last(self.earlier, self.record())[len(self.earlier) :])

    def claim(self, owner: str) -> LeasedJob:
        """The job, held by `owner` from now on."""
        job = self.job
        job.status, job.started, job.worker_id = Status.ACTIVE, now(), owner
        job.touched, job.progress = job.started, 0
        self.started_at = job.started / 1000
        job.attempts += 1
        job.lease += 1
        held = copy_of(job)
        held.claimed_at = time.monotonic()
        return held


class WaitingRows:
    """The waiting jobs, by priority and then due time.

    `rows` are the queue's, by key. An entry whose ticket is void is removed when its turn comes.
    """

    def __init__(self, rows: dict[str, Row]) -> None:
        self._rows = rows
        self._due: list[tuple[int, float, int, str]] = []  # priority, due, ticket, key
        self._later: list[tuple[float, int, str]] = []  # due, ticket, key

    def add(self, row: Row) -> None:
        if row.due_at > time.time():
            heapq.heappush(self._later, (row.due_at, row.ticket, row.job.key))
        else:
            entry = (row.job.priority, row.due_at, row.ticket, row.job.key)
            heapq.heappush(self._due, entry)

    def seconds_to_next(self) -> float:
        """Seconds until the next delayed job is due; infinite without one."""
        return max(self._later[0][0] - time.time(), 0.001) if self._later else float("inf")

    def take(self, room: int, busy: Container[str | None]) -> list[Row]:
        """Remove and return at most `room` due rows: one of each group, none of a busy group."""
        while self._later and self._later[0][0] <= time.time():
            due_at, ticket, key = heapq.heappop(self._later)
            if row := self._with_ticket(key, ticket):
                heapq.heappush(self._due, (row.job.priority, due_at, ticket, key))
        taken: list[Row] = []
        skipped = []
        groups: set[str] = set()
        while self._due and len(taken) < room:
            entry = heapq.heappop(self._due)
            row = self._with_ticket(entry[3], entry[2])
            if row is None:
                continue
            group = row.job.group_key
            if group is not None and (group in busy or group in groups):
                skipped.append(entry)
                continue
            if group is not None:
                groups.add(group)
            taken.append(row)
        for entry in skipped:
            heapq.heappush(self._due, entry)
        return taken

    def _with_ticket(self, key: str, ticket: int) -> Row | None:
        row = self._rows.get(key)
        return row if row and row.ticket == ticket and row.job.status is Status.QUEUED else None


def copy_of(job: LeasedJob) -> LeasedJob:
    """A copy for callers: a change of it does not change the row."""
    copied = dataclasses.replace(
        job,
        kwargs=copy.deepcopy(job.kwargs),
        meta=copy.deepcopy(job.meta),
        result=copy.deepcopy(job.result),
    )
    copied.lease = job.lease
    return copied


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
