"""The jobs as Redis has them: blobs, who runs which, and the scripts that change both in one step.

SAQ keeps a job as one JSON blob, in a list of what waits and a list of what runs. Beside these
stands who runs it, so that the end of a run that was taken over is refused.
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

ABORT_SECONDS = 24 * 3600  # how long a request to stop waits for the worker
CRASHES = "crashes"  # in a job's meta


class RedisJobs:
    """A job's holder is `<owner>|<lease>`, or nothing where it does not run."""

    def __init__(self, queue: SaqRedisQueue, owner: str) -> None:
        self._queue: Any = queue  # its own stubs say of each answer that it may not be awaitable
        self._owner = owner
        # SAQ's own: what waits, what runs, and all that has not ended.
        self.queued, self.active, self.incomplete = map(
            queue.namespace, ("queued", "active", "incomplete")
        )
        self.holders = queue.namespace("holders")
        self._leases = queue.namespace("leases")
        register = self._queue.redis.register_script
        self._take, self._write_outcome, self._touch = map(
            register, (lua_scripts.TAKE, lua_scripts.WRITE_OUTCOME, lua_scripts.TOUCH)
        )
        self._abort, self._again = map(register, (lua_scripts.ABORT, lua_scripts.AGAIN))

    def read(self, blob: bytes | None) -> LeasedJob:
        """Raises `MalformedJobError`."""
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

    async def take(self) -> tuple[bytes, int, bytes | None] | None:
        """The next job that waits, which this process runs from now on: id, lease and blob."""
        taken = await self._take(
            keys=[self.queued, self.active, self.holders, self._leases], args=[self._owner]
        )
        if taken is None:
            return None
        job_id, lease, *blob = taken  # without a blob, the answer ends before it
        return job_id, int(lease), blob[0] if blob else None

    def holder(self, job: LeasedJob) -> str:
        """What this process is called as the one that runs the job."""
        return f"{self._owner}|{job.lease}"

    async def write_end(self, job: Job, holder: str) -> Any:
        """1, or 0 where `holder` does not hold it any more."""
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
        """As `write_end`; or, in bytes, the reason for which somebody had asked it to stop."""
        return await self._write_outcome(
            keys=self._keys(job), args=[job.id, holder, self._queue.serialize(job), "queue", due]
        )

    async def write_held(self, job: LeasedJob) -> None:
        """Its progress and meta, while it is this process's."""
        await self._touch(
            keys=[self.holders, job.id],
            args=[job.id, self.holder(job), self._queue.serialize(job)],
        )

    async def write_aborted(self, job: Job, reason: str) -> Any:
        """b"queued": it waited and is `job` now; b"active": it runs and is asked to; b"ended"."""
        keep = max(math.ceil(job.ttl), KEEP_FAILED_SECONDS)
        return await self._abort(
            keys=self._keys(job),
            args=[job.id, reason, self._queue.serialize(job), keep, ABORT_SECONDS],
        )

    async def write_again(self, job: Job) -> bool:
        """Queue an ended job again; False where it waits or runs."""
        return bool(
            await self._again(
                keys=[self.incomplete, self.queued, job.id],
                args=[job.id, self._queue.serialize(job)],
            )
        )

    def _keys(self, job: Job) -> list[str]:
        return [
            self.holders, self.active, self.incomplete, self.queued, job.id, job.abort_id,
        ]  # fmt: skip
