"""Jobs that `dequeue` has handed out: to SAQ's own worker, or over SAQ's HTTP proxy.

They come back as objects that only say which run they are, and their worker may be in another
process, of which nothing is known but what it says.
"""

import asyncio
import math
from abc import abstractmethod
from typing import Protocol

from saq import Job, Status
from saq.queue.base import Queue

from service.queue.job import DEFER_SECONDS, LeasedJob, may_be_of_another_release
from service.queue.tasks.registry import Registry

# What `update` brings of a run in another process; of another read of this one's, the first alone.
UPDATED = ("kwargs", "meta", "progress", "touched")
RUN = ("attempts", "started", "worker_id")
LOOK_SECONDS = 0.1


class Holder(Protocol):
    """The worker's side of a queue."""

    held: dict[str, LeasedJob]  # what this process has taken, by key

    def skip_task(self, task: str, seconds: float) -> None:
        """Leave that task's jobs to other workers for so long, where the backend can."""


class StockWorkerQueue(Queue):
    """What a queue knows of the runs of its process."""

    registry: Registry
    owner: str
    consumer: Holder

    @abstractmethod
    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        """Queue jobs again in `delay` seconds; the run was cut short and costs no attempt."""

    def own_run(self, job: Job) -> LeasedJob | None:
        """The run of this process that the job is, or was read from, or that a proxy asks for."""
        if isinstance(job, LeasedJob) and job.claimed_at:
            return job
        held = self.consumer.held.get(job.key)
        if held is None or job.worker_id is None:
            return held
        if isinstance(job, LeasedJob) and job.lease:
            return held if job.lease == held.lease else None
        is_earlier = job.worker_id != held.worker_id or job.attempts < held.attempts
        return None if is_earlier else held

    def dequeued_run(self, job: Job) -> LeasedJob | None:
        """The run that `job` comes back from, over SAQ's HTTP proxy or from its own worker.

        None for what was only read: another read of a running job must not run it twice.
        """
        if isinstance(job, LeasedJob):
            return job if job.claimed_at else None
        own = self.own_run(job) if job.worker_id is not None else None
        return own if own and own.is_dequeued else None

    def updated_run(self, job: Job) -> LeasedJob | None:
        """The run of this process, with what an `update` of `job` brings; None without one."""
        held = self.consumer.held.get(job.key)
        if held is None or held is job:
            return held
        is_first = held.is_dequeued and (job.attempts, held.worker_id) == (
            held.attempts + 1, self.owner,
        )  # fmt: skip
        is_read = isinstance(job, LeasedJob)
        if job.worker_id is None or not ((is_first and not is_read) or self.own_run(job) is held):
            return None
        for name in UPDATED if is_read else (*UPDATED, *RUN):
            setattr(held, name, getattr(job, name))
        held.beat()
        return held

    async def is_left_to_others(self, job: LeasedJob, error: str | None) -> bool:
        """For SAQ's own worker, which fails what it does not know: as in ours it waits for a
        worker of the release that it belongs to.
        """
        reason = job.unrunnable
        is_unknown = str(error).rstrip().endswith(f"KeyError: {job.function!r}")
        if is_unknown and job.function not in self.registry:
            reason = f"no task is named {job.function!r}"
        if not (job.is_dequeued and reason and may_be_of_another_release(job)):
            return False
        self.consumer.skip_task(job.function, 2 * DEFER_SECONDS)
        await self.hand_back([job], error=reason, delay=DEFER_SECONDS)
        return True

    async def is_taken_back(self, job: LeasedJob, status: Status, error: str | None) -> bool:
        """Is what SAQ's own worker says of a job's end another attempt to us?"""
        if status is Status.FAILED:
            return await self.is_left_to_others(job, error)
        if job.is_swept and status is Status.ABORTED and job.retryable:
            job.is_swept = False
            await self.retry(job, error)
            return True
        return False

    def marked_if_swept(self, job: Job) -> Job:
        """The job as it was read; what is swept shows that it has been asked to stop."""
        held = self.consumer.held.get(job.key)
        if held is not None and held.is_swept and job.status is Status.ACTIVE:
            job.status, job.error = Status.ABORTING, self.swept_error_message
        return job

    async def sweep_dequeued(self, abort: float) -> list[str]:
        """Take back what SAQ's own worker or proxy has got and says nothing of; the keys.

        It is asked to stop, and has `abort` seconds for it. Then the job is queued again if it has
        an attempt left.
        """
        held = self.consumer.held
        stuck = [job for job in held.values() if job.is_dequeued and job.stuck]
        for job in stuck:
            job.is_swept = True
        for _ in range(math.ceil(abort / LOOK_SECONDS)):
            if not any(held.get(job.key) is job for job in stuck):
                break
            await asyncio.sleep(LOOK_SECONDS)
        for job in stuck:
            if held.get(job.key) is job:
                await self.finish(job, Status.ABORTED, error=self.swept_error_message)
        return [job.key for job in stuck]
