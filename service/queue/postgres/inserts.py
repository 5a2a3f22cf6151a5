"""Inserts the rows of new jobs: each key once, and in the order of the keys.

Two statements with the same keys in another order could deadlock.
"""

import json

from saq import Job

from service.db import Connection
from service.queue import job_blob
from service.queue.postgres import statements as sql
from service.queue.tables.connections import if_any
from service.queue.tables.table_queue import TableQueue
from service.queue.tasks.origin import parent_of

ENQUEUE_ROWS = 1000  # in one statement


async def insert(
    queue: TableQueue, jobs: list[Job], connection: Connection | None = None
) -> list[bool]:
    """Insert jobs of this queue. Returns for each whether it is new.

    It is not where its key already waits or runs, or an earlier one of `jobs` has the same key.
    """
    by_key = {job.key: job for job in sorted(reversed(jobs), key=lambda job: job.key)}
    batch = list(by_key.values())
    parents = {key: parent for key, job in by_key.items() if (parent := parent_of(job))}
    found = await queue.fetch(
        sql.ENQUEUE_CHILDREN if parents else sql.ENQUEUE,
        list(by_key),
        [job_blob.dump(job) for job in batch],
        if_any([job.priority for job in batch]),
        if_any([job.group_key for job in batch]),
        if_any([int(job.scheduled) for job in batch]),
        [job.function for job in batch],
        queue.name,
        queue.channel,
        connection is not None,  # notify: a worker may start to wait before the commit
        *([json.dumps(parents)] if parents else []),
        connection=connection,
    )
    new = {row["key"] for row in found}
    return [job.key in new and by_key[job.key] is job for job in jobs]


async def insert_many(queue: TableQueue, jobs: list[Job], connection: Connection) -> set[int]:
    """Insert any number of jobs of this queue. Returns the `id()` of those that are new."""
    in_order = sorted(jobs, key=lambda job: job.key)
    new: set[int] = set()
    for start in range(0, len(in_order), ENQUEUE_ROWS):
        part = in_order[start : start + ENQUEUE_ROWS]
        is_new = await insert(queue, part, connection)
        new.update(id(job) for job, put in zip(part, is_new, strict=True) if put)
    return new
