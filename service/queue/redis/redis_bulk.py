"""One step of a bulk action on jobs in Redis, which are changed one by one."""

import contextlib
from collections.abc import Mapping

from saq import Status
from saq.job import TERMINAL_STATUSES

from service.queue.bulk_action import BulkAction
from service.queue.errors import JobNotFoundError, JobStateError, QueueNotFoundError
from service.queue.redis.redis_reads import RedisReads

NOTED_JOBS = 100  # changed before it is noted, and asked whether to go on


async def change(
    queue: RedisReads, action: BulkAction, jobs: Mapping[int, tuple[str, str]], place: int
) -> BulkAction | None:
    """Change these jobs, and note it. None where it is not for this process to do any more.

    After a crash the last hundred are changed again; a job that has ended since the action began is
    left out, so that none is retried twice.
    """
    now = action
    found = list(jobs.values())
    for first in range(0, max(len(found), 1), NOTED_JOBS):
        part = found[first : first + NOTED_JOBS]
        if not await _note(queue, now, 0, now.place):
            return None
        changed = 0
        for name, key in part:
            # another queue, or somebody else has changed it meanwhile
            with contextlib.suppress(QueueNotFoundError, JobNotFoundError, JobStateError):
                changed += await _change_one(queue.named(name), action, key)
        is_last = first + NOTED_JOBS >= len(found)
        moved = await _note(queue, now, changed, place if is_last else now.place)
        if moved is None:
            return None
        now = moved
    return now


async def _note(
    queue: RedisReads, action: BulkAction, changed: int, place: int
) -> BulkAction | None:
    async with queue.transaction() as own:
        if not await queue.bulk.hold(action, queue.owner, own):
            return None
        return await queue.bulk.move(action, changed, place, own)


async def _change_one(queue: RedisReads, action: BulkAction, key: str) -> bool:
    if (job := await queue.job(key)) is None:
        return False
    has_ended = job.status in TERMINAL_STATUSES
    if action.action == "cancel":
        if has_ended or job.status is Status.ABORTING:
            return False
        await queue.abort(job, f"cancelled by {action.who} (bulk action {action.id})")
        return True
    if not has_ended or job.completed / 1000 >= action.created_at.timestamp():
        return False
    if action.action == "retry":
        await queue.retry(job, f"retried by {action.who} (bulk action {action.id})")
        return True
    return bool(await queue.redis.delete(queue.job_id(job.key)))  # its history stays
