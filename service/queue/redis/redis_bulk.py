"""One step of a bulk action on jobs in Redis, which are changed one by one."""

import contextlib
from collections.abc import Mapping

from saq.job import TERMINAL_STATUSES

from service.queue.bulk_action import BulkAction
from service.queue.errors import JobNotFoundError, JobStateError, QueueNotFoundError
from service.queue.redis.redis_reads import RedisReads


async def change(
    queue: RedisReads, action: BulkAction, jobs: Mapping[int, tuple[str, str]], place: int
) -> BulkAction | None:
    """Change these jobs, and note it. None where it is not for this process to do any more.

    After a crash within the step it is made again; a job that has ended since the action began is
    left out, so that none is retried twice.
    """
    changed = 0
    for name, key in jobs.values():
        # another queue, or somebody else has changed it meanwhile
        with contextlib.suppress(QueueNotFoundError, JobNotFoundError, JobStateError):
            changed += await _change_one(queue.named(name), action, key)
    async with queue.transaction() as own:
        if not await queue.bulk.hold(action, queue.owner, own):
            return None
        return await queue.bulk.move(action, changed, place, own)


async def _change_one(queue: RedisReads, action: BulkAction, key: str) -> bool:
    if (job := await queue.job(key)) is None:
        return False
    has_ended = job.status in TERMINAL_STATUSES
    if action.action == "cancel":
        if has_ended:
            return False
        await queue.abort(job, f"cancelled by {action.who} (bulk action {action.id})")
        return True
    if not has_ended or job.completed / 1000 >= action.created_at.timestamp():
        return False
    if action.action == "retry":
        await queue.retry(job, f"retried by {action.who} (bulk action {action.id})")
        return True
    return bool(await queue.redis.delete(queue.job_id(job.key)))  # its history stays
