"""Reads of a queue on Redis, in bounded pages: jobs, figures, and what SAQ's web page shows."""

import contextlib
import time
from collections.abc import Iterable
from typing import Any

import structlog
from saq import Job, Status
from saq.queue.redis import RedisQueue as SaqRedisQueue
from saq.types import QueueInfo

from service.queue.interface import PAGE_ROWS
from service.queue.job import MalformedJobError, page_row
from service.queue.reads import QueueStats
from service.queue.redis.redis_history import RedisHistory
from service.queue.redis.redis_jobs import RedisJobs
from service.queue.tables.table_queue import TableQueue

log = structlog.stdlib.get_logger("queue")


class RedisReads(TableQueue, SaqRedisQueue):  # type: ignore[misc] # from_url raises in ours
    """The read-only part of the Redis queue."""

    redis: Any  # redis-py's types do not say that the answers are awaitable
    stored: RedisJobs
    history: RedisHistory

    async def job(self, job_key: str) -> Job | None:
        """The job with that key, or None."""
        (job,) = await self.jobs([job_key])
        return job

    async def jobs(self, job_keys: Iterable[str]) -> list[Job | None]:
        found: dict[str, Job] = {}
        keys = list(job_keys)
        for queue in reversed(self.searched):
            for key, job in zip(keys, await queue.own_jobs(keys), strict=True):
                if job is not None:
                    found[key] = job
        return [found.get(key) for key in keys]

    async def own_jobs(self, job_keys: list[str]) -> list[Job | None]:
        """The jobs of this queue with these keys, in their order."""
        keys = [self.own_key(key) for key in job_keys]
        if not keys:
            return []
        found = await self.redis.mget(
            [*map(self.job_id, keys), *(Job("?", key=key).abort_id for key in keys)]
        )
        jobs: list[Job | None] = []
        for key, blob, asked in zip(keys, found[: len(keys)], found[len(keys) :], strict=True):
            try:
                job = self.stored.read(blob) if blob else None
            except MalformedJobError as error:
                log.warning("malformed job", job_key=key, error=str(error))
                job = None
            if job and asked is not None and job.status is Status.ACTIVE:
                job.status, job.error = Status.ABORTING, asked.decode()
            jobs.append(self.marked_if_swept(job) if job else None)
        return jobs

    async def pause(self) -> None:
        await self.stored.pause()

    async def resume(self) -> None:
        await self.stored.resume()

    async def stats(self) -> QueueStats:
        """The queue's figures now."""
        failed, workers = await self.history.counts()
        queued, active = await self.count("queued"), await self.count("active")
        incomplete = await self.count("incomplete")
        oldest = 0.0
        if first := await self.redis.lindex(self.stored.queued, 0):
            with contextlib.suppress(MalformedJobError):
                job = self.stored.read(await self.redis.get(first))
                oldest = max(time.time() - max(job.queued / 1000, job.scheduled), 0.0)
        return QueueStats(
            queued=queued,
            scheduled=max(incomplete - queued - active, 0),
            active=active,
            failed=failed,
            workers=workers,
            oldest_due_seconds=oldest,
            is_paused=await self.stored.is_paused(),
        )

    async def info(self, jobs: bool = False, offset: int = 0, limit: int = PAGE_ROWS) -> QueueInfo:
        """What SAQ's web page shows: payloads as text, at most `limit` jobs of each kind."""
        info = await SaqRedisQueue.info(self)
        if jobs:
            last = offset + min(limit, PAGE_ROWS) - 1
            ids = await self.redis.lrange(self.stored.active, offset, last)
            ids += [
                each for each in await self.redis.zrange(self.stored.incomplete, offset, last)
                if each not in ids
            ]  # fmt: skip
            found = await self.jobs(self.job_key_from_id(each.decode()) for each in ids)
            info["jobs"] = [page_row(job) for job in found if job]
        return info
