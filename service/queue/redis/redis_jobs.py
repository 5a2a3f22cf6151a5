"""The jobs in Redis: their blobs, their holders, and the scripts that change both in one step.

SAQ keeps a job as one JSON blob, and its id in the list of queued or of active jobs. We also store
the holder of each active job, so that a worker whose job was rescued cannot end it.
"""

import contextlib
import math
from typing import Any

import msgspec
from redis.exceptions import RedisError
from saq import Job, Status
from saq.queue.redis import RedisQueue as SaqRedisQueue

from service.db import UNAVAILABLE
from service.queue import job_blob
from service.queue.job import KEEP_FAILED_SECONDS, LeasedJob, MalformedJobError
from service.queue.redis import lua_scripts

ABORT_SECONDS = 24 * 3600  # how long a request to abort waits for the worker
CRASHES = "crashes"  # in a job's meta


class RedisJobs:
    """Reads and writes jobs. The holder of a running job is `<owner>|<lease>`."""

    def __init__(self, queue: SaqRedisQueue, owner: str) -> None:
        self._queue: Any = queue  # redis-py's types do not say that the answers are awaitable
        self._owner = owner
        # SAQ's own: what waits, what runs, and all that has not ended.
        self.queued, self.active, self.incomplete = map(
            queue.namespace, ("queued", "active", "incomplete")
        )
        self.holders = queue.namespace("holders")
        self._leases = queue.namespace("leases")
        self._pause = queue.namespace("paused")  # exists while the queue is paused
        register = self._queue.redis.register_script
        self._claim, self._write_outcome, self._update_held = map(
            register, (lua_scripts.CLAIM, lua_scripts.WRITE_OUTCOME, lua_scripts.UPDATE_HELD)
        )
        self._abort, self._retry_ended = map(register, (lua_scripts.ABORT, lua_scripts.RETRY_ENDED))

    def read(self, blob: bytes | None) -> LeasedJob:
        """The job of a blob. Raises `MalformedJobError`."""
        try:
            fields = msgspec.json.decode(blob or b"")
            msgspec.convert(fields, job_blob.StoredJob)
            if fields.pop("queue") != self._queue.name:
                raise MalformedJobError("its blob names another queue")
            job = LeasedJob(**fields, queue=self._queue)
            job.crashes = int(job.meta.get(CRASHES, 0))
        except (msgspec.MsgspecError, LookupError, TypeError, ValueError, RecursionError) as error:
            raise MalformedJobError(f"{type(error).__name__}: {error}"[:500]) from None
        return job

    async def claim(self) -> tuple[bytes, int, bytes | None] | None:
        """Claim the next queued job. Returns its id, lease and blob, or None."""
        claimed = await self._claim(
            keys=[self.queued, self.active, self.holders, self._leases, self._pause],
            args=[self._owner],
        )
        if claimed is None:
            return None
        job_id, lease, *blob = claimed  # where the blob is gone, Redis leaves it out
        return job_id, int(lease), blob[0] if blob else None

    async def pause(self) -> None:
        """Let nobody claim."""
        await self._queue.redis.set(self._pause, 1)

    async def resume(self) -> None:
        """Let workers claim again."""
        await self._queue.redis.delete(self._pause)

    async def is_paused(self) -> bool:
        """Is the queue paused?"""
        return bool(await self._queue.redis.exists(self._pause))

    def holder(self, job: LeasedJob) -> str:
        """The value that names this process as the holder of the job."""
        return f"{self._owner}|{job.lease}"

    async def write_end(self, job: Job, holder: str) -> Any:
        """Write the end of a job. 1 if it is done, 0 where `holder` no longer holds the job."""
        is_bad = job.status is not Status.COMPLETE
        seconds = max(job.ttl, KEEP_FAILED_SECONDS) if is_bad and job.ttl > 0 else job.ttl
        answer = await self._write_outcome(
            keys=self._keys(job),
            args=[job.id, holder, self._queue.serialize(job), "end", math.ceil(seconds)],
        )
        with contextlib.suppress(RedisError, *UNAVAILABLE):
            await self._queue.notify(job)
        return answer

    async def write_queued(self, job: Job, holder: str, due: float = 0) -> Any:
        """Queue a job again. As `write_end`; or, in bytes, the reason of an earlier abort."""
        return await self._write_outcome(
            keys=self._keys(job), args=[job.id, holder, self._queue.serialize(job), "queue", due]
        )

    async def write_held(self, job: LeasedJob) -> None:
        """Store the progress and meta of a job, if this process still holds it."""
        await self._update_held(
            keys=[self.holders, job.id],
            args=[job.id, self.holder(job), self._queue.serialize(job)],
        )

    async def write_aborted(self, job: Job, reason: str) -> Any:
        """Abort a job. Returns what it was.

        b"queued": it is stored as `job` now; b"active": its worker will stop it; b"ended": nothing
        has changed.
        """
        keep = max(math.ceil(job.ttl), KEEP_FAILED_SECONDS)
        return await self._abort(
            keys=self._keys(job),
            args=[job.id, reason, self._queue.serialize(job), keep, ABORT_SECONDS],
        )

    async def retry_ended(self, job: Job) -> bool:
        """Queue an ended job again; False where it waits or runs."""
        return bool(
            await self._retry_ended(
                keys=[self.incomplete, self.queued, job.id],
                args=[job.id, self._queue.serialize(job)],
            )
        )

    def _keys(self, job: Job) -> list[str]:
        return [
            self.holders, self.active, self.incomplete, self.queued, job.id, job.abort_id,
        ]  # fmt: skip
