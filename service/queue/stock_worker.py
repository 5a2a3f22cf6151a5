"""Jobs that `dequeue` has returned to SAQ's own worker, or to one behind SAQ's HTTP proxy.

That worker may be in another process, and the `Job` it passes to `finish`, `retry` or `update` is
another object than the one this process holds. Here the held run that it means is found.
"""

import asyncio
import math
from abc import abstractmethod
from typing import Protocol

from saq import Job, Status
from saq.queue.base import Queue

from service.queue.job import DEFER_SECONDS, LeasedJob, may_be_of_another_release
from service.queue.tasks.registry import Registry

UPDATED = ("kwargs", "meta", "progress", "touched")  # what `update` copies to the held run
RUN = ("attempts", "started", "worker_id")  # and these, where the run is in another process
SWEEP_POLL_SECONDS = 0.1


class HeldJobs(Protocol):
    """The part of a consumer that is used here."""

    held: dict[str, LeasedJob]  # the jobs that this process holds, by key

    def skip_task(self, task: str, seconds: float) -> None:
        """Claim no job of that task for `seconds`, where the backend can choose."""


class StockWorkerQueue(Queue):
    """A queue that finds the held run for a job that SAQ's own worker passes to it."""

    registry: Registry
    owner: str
    consumer: HeldJobs

    @abstractmethod
    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        """Queue held jobs again, due in `delay` seconds. The interrupted run costs no attempt."""

    def own_run(self, job: Job) -> LeasedJob | None:
        """The run of this process that `job` means; None where it means another or none.

        `job` may be the run itself, another read of it, or what a proxy has built.
        """
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
        """The run whose worker passes `job` back.

        None where `job` was only read: to retry another read of a running job would run it twice.
        """
        if isinstance(job, LeasedJob):
            return job if job.claimed_at else None
        own = self.own_run(job) if job.worker_id is not None else None
        return own if own and own.is_dequeued else None

    def updated_run(self, job: Job) -> LeasedJob | None:
        """The run of this process that `job` means, updated from it; None without one."""
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

    async def defer_unknown(self, job: LeasedJob, error: str | None) -> bool:
        """Hand back a job that this release does not know, instead of failing it. True if so.

        SAQ's own worker would fail it. As in our worker it waits for one of the other release.
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

    async def requeue_instead(self, job: LeasedJob, status: Status, error: str | None) -> bool:
        """Queue a job again that SAQ's own worker has ended, where that is right. True if so."""
        if status is Status.FAILED:
            return await self.defer_unknown(job, error)
        if job.is_swept and status is Status.ABORTED and job.retryable:
            job.is_swept = False
            await self.retry(job, error)
            return True
        return False

    def marked_if_swept(self, job: Job) -> Job:
        """The job as it was read; a swept one is `aborting`, so that its worker stops it."""
        held = self.consumer.held.get(job.key)
        if held is not None and held.is_swept and job.status is Status.ACTIVE:
            job.status, job.error = Status.ABORTING, self.swept_error_message
        return job

    async def sweep_dequeued(self, abort: float) -> list[str]:
        """Stop the dequeued jobs that are past their timeout or heartbeat. Returns their keys.

        Their worker gets `abort` seconds to stop them. Then each is queued again if it has an
        attempt left.
        """
        held = self.consumer.held
        stuck = [job for job in held.values() if job.is_dequeued and job.stuck]
        for job in stuck:
            job.is_swept = True
        for _ in range(math.ceil(abort / SWEEP_POLL_SECONDS)):
            if not any(held.get(job.key) is job for job in stuck):
                break
            await asyncio.sleep(SWEEP_POLL_SECONDS)
        for job in stuck:
            if held.get(job.key) is job:
                await self.finish(job, Status.ABORTED, error=self.swept_error_message)
        return [job.key for job in stuck]
