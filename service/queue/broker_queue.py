"""The base of the queues that enqueue their jobs one by one, without a transaction."""

from abc import abstractmethod
from collections.abc import Iterable
from typing import Any

from saq import Job, Status

from service import observers
from service.db import Connection
from service.queue import job_blob
from service.queue.interface import JobQueue
from service.queue.tasks.enqueue import check_job, requested_job


class BrokerQueue(JobQueue):
    """Checks each job and enqueues it; `broker_consumer.py` claims it."""

    async def enqueue(  # type: ignore[override] # positional-only: any name may be a payload field
        self, job_or_func: str | Job, /, **kwargs: Any
    ) -> Job | None:
        self.refuse_connection(kwargs.get("connection"))
        job = requested_job(self.registry, job_or_func, kwargs)
        self.check_able(job)
        if observers.tracer is None:
            return await self.put(job)
        with observers.tracer.sending(self.destination([job]), [job]):
            return await self.put(job)

    async def enqueue_many(
        self, jobs: Iterable[Job], *, connection: Connection | None = None
    ) -> list[Job | None]:
        """Enqueue the jobs one by one. If the broker goes away, the first stay enqueued."""
        self.refuse_connection(connection)
        checked = [check_job(self.registry, job) for job in jobs]
        for job in checked:
            self.check_able(job)
        if observers.tracer is None:
            return [await self.put(job) for job in checked]
        with observers.tracer.sending(self.destination(checked), checked):
            return [await self.put(job) for job in checked]

    async def finish(
        self,
        job: Job,
        status: Status,
        *,
        result: Any = None,
        error: str | None = None,
        **kwargs: Any,
    ) -> None:
        """End a job. Where this process no longer holds it, only a line is logged.

        Raises `TypeError` or `ValueError` where the result has no JSON form or is over 1 MiB.
        """
        status = Status(status)
        job_blob.dump_ending(job, status, result, error)
        held = self.own_run(job)
        if held and held.is_dequeued and await self.requeue_instead(held, status, error):
            return
        await self._write_end(job, status, result, error)

    @abstractmethod
    async def put(self, job: Job) -> Job | None:
        """Store a checked job. Returns it, or None where its key already waits or runs."""

    @abstractmethod
    async def _write_end(self, job: Job, status: Status, result: Any, error: str | None) -> None:
        """Write how a job has ended, where this process holds it."""
