"""The job that has enqueued a job, and those that it has enqueued itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from service.queue.job import JobRecord

CHILDREN_MAX = 50


@dataclass(frozen=True, kw_only=True)
class Relatives:
    """What is known of a job's parent and children."""

    parent: str | None  # its key
    children: Sequence[JobRecord]  # the first fifty
    has_more: bool


def relatives(parent: str | None, children: Sequence[JobRecord]) -> Relatives:
    """The family of a job, whose children were read up to one more than are told."""
    return Relatives(
        parent=parent,
        children=children[:CHILDREN_MAX],
        has_more=len(children) > CHILDREN_MAX,
    )
