"""A worker as the others see it."""

from dataclasses import dataclass
from datetime import datetime

WORKERS_MAX = 500  # that are listed
RUNNING_MAX = 1000  # jobs that are listed with them


@dataclass(frozen=True, kw_only=True)
class WorkerRecord:
    """A live worker of this application; times by the database's clock."""

    id: str
    pool: str  # empty: the default pool
    queues: tuple[str, ...]
    started_at: datetime
    release: str | None  # on ECS the task definition's family and revision
    slots: int | None  # how many jobs it runs at a time; None: a release before does not say it
    can_drain: bool
    is_draining: bool  # somebody has asked for it
