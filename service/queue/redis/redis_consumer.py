"""The worker's side of a Redis queue: takes jobs, says that it lives, takes over from the dead."""

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING

import structlog
from saq import Job, Status
from saq.utils import now

from service.db import UNAVAILABLE
from service.queue import job as rows
from service.queue.broker_consumer import Puller
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.postgres import statements as sql
from service.queue.redis.redis_client import KEEP_SECONDS, LEASE_SECONDS, Beat
from service.queue.redis.redis_jobs import CRASHES

if TYPE_CHECKING:
    from service.queue.redis.redis_queue import RedisQueue

TAKE_SECONDS = 0.5  # a worker that stops waits for it
# How long a job may run without anybody who says so: a stock SAQ worker's, or of a lost answer.
UNHELD_SECONDS = 12.0

log = structlog.stdlib.get_logger("queue")


class RedisConsumer(Puller):
    """Takes what is due, and keeps this worker's jobs from being taken over."""

    def __init__(self, queue: "RedisQueue", *, url: str) -> None:
        super().__init__(
            queue,
            take=self._take_due,
            stopped=self._asked_to_stop,
            keep=self._stay_alive,
            keep_seconds=KEEP_SECONDS,
        )
        self._redis_queue = queue
        self._url = url
        self._beat: Beat | None = None
        self._unheld: dict[bytes, float] = {}  # ids in the list of what runs that nobody holds
        self._news: bytes | None = None

    async def stop(self) -> None:
        await super().stop()
        if self._beat:
            await asyncio.to_thread(self._beat.stop)
            self._beat = None

    async def _take_due(self, room: int) -> list[LeasedJob]:
        await self._until_alive()
        queue = self._redis_queue
        await queue.promote()
        taken = await queue.stored.take()
        if taken is None:
            # Only waits: the job stays where it is, so that nobody has it who has not said so.
            await queue.redis.blmove(queue._queued, queue._queued, TAKE_SECONDS, "LEFT", "LEFT")
            taken = await queue.stored.take()
        all_taken = []
        while taken is not None:
            all_taken.append(taken)
            if len(all_taken) == room:
                break
            taken = await queue.stored.take()
        return [job for job in [await self._start(*each) for each in all_taken] if job]

    async def _start(self, job_id: bytes, lease: int, blob: bytes | None) -> LeasedJob | None:
        queue = self._redis_queue
        try:
            job = queue.stored.read(blob)
        except MalformedJobError as error:
            await self._bury(job_id, lease, f"malformed job: {error}")
            return None
        job.lease, job.claimed_at = lease, asyncio.get_running_loop().time()
        job.attempts += 1
        job.status, job.started, job.progress = Status.ACTIVE, now(), 0.0
        job.worker_id, job.touched = queue.owner, job.started
        await queue.stored.write_held(job)
        await queue.history.note(job)
        return job

    async def _bury(self, job_id: bytes, lease: int, error: str) -> None:
        """End what no job can be read from, so that it shows and stops nobody."""
        queue = self._redis_queue
        queue.dead_letters += 1
        key = queue.job_key_from_id(job_id.decode(errors="replace"))
        job = rows.stand_in(key, lease)
        job.queue, job.status, job.error, job.worker_id = queue, Status.FAILED, error, queue.owner
        job.completed = now()
        log.error("malformed job", job_key=key, reason=error)
        await queue.stored.write_end(job, queue.stored.holder(job))
        await queue.history.note(job)

    async def _until_alive(self) -> None:
        if self._beat is None:
            self._beat = Beat(self._url, self._alive_key(self._redis_queue.owner))
            self._beat.start()
        self._beat.turn()
        for _ in range(10):
            if self._beat.is_fresh():
                return
            await asyncio.sleep(0.1)
        raise ConnectionError("Redis does not answer: this worker cannot say that it lives")

    def _alive_key(self, owner: str) -> str:
        return self._redis_queue.namespace(f"alive:{owner}")

    async def _stay_alive(self) -> None:
        queue = self._redis_queue
        if self._beat:
            self._beat.turn()
        with contextlib.suppress(*UNAVAILABLE):
            await queue.fetch(sql.RENEW, queue.owner, queue.name, float(LEASE_SECONDS))
        news = await queue.redis.get(queue.changes)
        if news != self._news:
            self._news = news
            queue.ticker.look()
        if self._beat and self._beat.may_judge():
            await self.take_over()

    async def take_over(self) -> list[str]:
        """Queue the jobs of dead workers again; their keys."""
        queue = self._redis_queue
        ids = await queue.redis.lrange(queue._active, 0, -1)
        self._unheld = {job_id: at for job_id, at in self._unheld.items() if job_id in ids}
        if not ids:
            return []
        holders = await queue.redis.hmget(queue.stored.holders, ids)
        owners = [(holder or b"").rpartition(b"|")[0].decode() for holder in holders]
        alive = await queue.redis.mget([self._alive_key(owner) for owner in owners])
        back = []
        for job_id, holder, owner, is_alive in zip(ids, holders, owners, alive, strict=True):
            # What this worker holds and does not know of: the answer was lost with its connection.
            is_unknown = owner == queue.owner and (
                queue.job_key_from_id(job_id.decode()) not in self.held
            )
            if holder is None or is_unknown:
                seen_at = self._unheld.setdefault(job_id, time.monotonic())
                if time.monotonic() - seen_at < UNHELD_SECONDS:
                    continue
            else:
                self._unheld.pop(job_id, None)
                if is_alive:
                    continue
            is_crash = holder is not None and not is_unknown
            if key := await self.recover(job_id, (holder or b"").decode(), is_crash=is_crash):
                back.append(key)
        return back

    async def recover(self, job_id: bytes, holder: str, *, is_crash: bool) -> str | None:
        """Queue the job again, if `holder` still has it; its key."""
        queue = self._redis_queue
        try:
            job = queue.stored.read(await queue.redis.get(job_id))
        except MalformedJobError:
            # The next who takes it will say so.
            await queue.redis.lrem(queue._active, 0, job_id)
            await queue.redis.rpush(queue._queued, job_id)
            return None
        if is_crash:
            job.crashes += 1
            job.meta[CRASHES] = job.crashes
        if job.status is not Status.QUEUED:  # as it is still where it was never started
            job.attempts = max(job.attempts - 1, 0)
        job.status, job.worker_id = Status.QUEUED, None
        job.error = "its worker died while running it"
        if job.crashes >= sql.CRASHES_MAX:
            job.status, job.completed = Status.FAILED, now()
            job.error = f"its worker died {job.crashes} times while running it"
            answer = await queue.stored.write_end(job, holder)
        else:
            await queue.history.note(job)  # first: whoever takes it next writes after this
            answer = await queue.stored.write_queued(job, holder)
        if isinstance(answer, bytes):  # somebody had asked it to stop
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            answer = await queue.stored.write_end(job, holder)
        if answer != 1:
            return None
        log.warning("took a job from a dead worker", job_key=job.key, status=job.status.value)
        queue.dead_letters += job.status is Status.FAILED
        if job.status is not Status.QUEUED:
            await queue.history.note(job)
        return job.key

    async def _asked_to_stop(self, keys: list[str]) -> set[str]:
        found = await self._redis_queue.redis.mget([Job("?", key=key).abort_id for key in keys])
        reasons = {
            key: reason for key, reason in zip(keys, found, strict=True) if reason is not None
        }
        for key, reason in reasons.items():
            if job := self.held.get(key):
                job.error = reason.decode()
        return set(reasons)
