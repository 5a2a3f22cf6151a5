"""The worker's side of a Redis queue: takes jobs, says that it lives, takes over from the dead."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from saq import Job, Status
from saq.queue.redis import RedisQueue as SaqRedisQueue
from saq.utils import now

from service.db import UNAVAILABLE
from service.queue.broker_consumer import BrokerConsumer
from service.queue.job import CRASHES_MAX, LeasedJob, MalformedJobError, unread_job
from service.queue.redis.redis_client import KEEP_SECONDS, LEASE_SECONDS, Beat
from service.queue.redis.redis_history import RedisHistory
from service.queue.redis.redis_jobs import CRASHES, RedisJobs
from service.queue.tables import table_statements
from service.queue.tables.connections import Database

TAKE_SECONDS = 0.5  # a worker that stops waits for it
# How long a job may run without anybody who says so: a stock SAQ worker's, or of a lost answer.
UNHELD_SECONDS = 12.0

log = structlog.stdlib.get_logger("queue")


class RedisConsumer(BrokerConsumer):
    """Takes what is due, and keeps this worker's jobs from being taken over."""

    def __init__(
        self,
        queue: SaqRedisQueue,
        *,
        url: str,
        owner: str,
        changes: str,
        stored: RedisJobs,
        history: RedisHistory,
        database: Database,
        hand_back: Callable[[list[LeasedJob]], Awaitable[None]],
        on_dead_letter: Callable[[], None],
        on_schedules_changed: Callable[[], None],
    ) -> None:
        super().__init__(
            hand_back=hand_back,
            take=self._take_due,
            stopped=self._asked_to_stop,
            keep=self._stay_alive,
            keep_seconds=KEEP_SECONDS,
        )
        self._queue = queue
        self._redis: Any = queue.redis  # its stubs say of each answer that it may not be awaitable
        self._url = url
        self._owner = owner
        self._changes = changes
        self._stored = stored
        self._history = history
        self._database = database
        self._on_dead_letter = on_dead_letter
        self._on_schedules_changed = on_schedules_changed
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
        await SaqRedisQueue.schedule(self._queue)  # what is due waits with the others
        taken = await self._stored.take()
        if taken is None:
            # Only waits: the job stays where it is, so that nobody has it who has not said so.
            queued = self._stored.queued
            await self._redis.blmove(queued, queued, TAKE_SECONDS, "LEFT", "LEFT")
            taken = await self._stored.take()
        all_taken = []
        while taken is not None:
            all_taken.append(taken)
            if len(all_taken) == room:
                break
            taken = await self._stored.take()
        return [job for job in [await self._start(*each) for each in all_taken] if job]

    async def _start(self, job_id: bytes, lease: int, blob: bytes | None) -> LeasedJob | None:
        try:
            job = self._stored.read(blob)
        except MalformedJobError as error:
            await self._dead_letter(job_id, lease, f"malformed job: {error}")
            return None
        job.lease, job.claimed_at = lease, asyncio.get_running_loop().time()
        job.attempts += 1
        job.status, job.started, job.progress = Status.ACTIVE, now(), 0.0
        job.worker_id, job.touched = self._owner, job.started
        await self._stored.write_held(job)
        await self._history.note(job)
        return job

    async def _dead_letter(self, job_id: bytes, lease: int, error: str) -> None:
        """End what no job can be read from, so that it shows and stops nobody."""
        queue = self._queue
        self._on_dead_letter()
        key = queue.job_key_from_id(job_id.decode(errors="replace"))
        job = unread_job(key, lease)
        job.queue, job.status, job.error, job.worker_id = queue, Status.FAILED, error, self._owner
        job.completed = now()
        log.error("malformed job", job_key=key, reason=error)
        await self._stored.write_end(job, self._stored.holder(job))
        await self._history.note(job)

    async def _until_alive(self) -> None:
        if self._beat is None:
            self._beat = Beat(self._url, self._alive_key(self._owner))
            self._beat.start()
        self._beat.note_main_loop()
        for _ in range(10):
            if self._beat.is_fresh():
                return
            await asyncio.sleep(0.1)
        raise ConnectionError("Redis does not answer: this worker cannot say that it lives")

    def _alive_key(self, owner: str) -> str:
        return self._queue.namespace(f"alive:{owner}")

    async def _stay_alive(self) -> None:
        queue = self._queue
        if self._beat:
            self._beat.note_main_loop()
        with contextlib.suppress(*UNAVAILABLE):
            await self._database.fetch(
                table_statements.RENEW, self._owner, queue.name, float(LEASE_SECONDS)
            )
        news = await self._redis.get(self._changes)
        if news != self._news:
            self._news = news
            self._on_schedules_changed()
        if self._beat and self._beat.may_judge():
            await self.take_over()

    async def take_over(self) -> list[str]:
        """Queue the jobs of dead workers again; their keys."""
        queue = self._queue
        ids = await self._redis.lrange(self._stored.active, 0, -1)
        self._unheld = {job_id: at for job_id, at in self._unheld.items() if job_id in ids}
        if not ids:
            return []
        holders = await self._redis.hmget(self._stored.holders, ids)
        owners = [(holder or b"").rpartition(b"|")[0].decode() for holder in holders]
        alive = await self._redis.mget([self._alive_key(owner) for owner in owners])
        back = []
        for job_id, holder, owner, is_alive in zip(ids, holders, owners, alive, strict=True):
            # What this worker holds and does not know of: the answer was lost with its connection.
            is_unknown = owner == self._owner and (
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
        try:
            job = self._stored.read(await self._redis.get(job_id))
        except MalformedJobError:
            # The next who takes it will say so.
            await self._redis.lrem(self._stored.active, 0, job_id)
            await self._redis.rpush(self._stored.queued, job_id)
            return None
        if is_crash:
            job.crashes += 1
            job.meta[CRASHES] = job.crashes
        if job.status is not Status.QUEUED:  # as it is still where it was never started
            job.attempts = max(job.attempts - 1, 0)
        job.status, job.worker_id = Status.QUEUED, None
        job.error = "its worker died while running it"
        if job.crashes >= CRASHES_MAX:
            job.status, job.completed = Status.FAILED, now()
            job.error = f"its worker died {job.crashes} times while running it"
            answer = await self._stored.write_end(job, holder)
        else:
            await self._history.note(job)  # first: whoever takes it next writes after this
            answer = await self._stored.write_queued(job, holder)
        if isinstance(answer, bytes):  # somebody had asked it to stop
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            answer = await self._stored.write_end(job, holder)
        if answer != 1:
            return None
        log.warning("took a job from a dead worker", job_key=job.key, status=job.status.value)
        if job.status is Status.FAILED:
            self._on_dead_letter()
        if job.status is not Status.QUEUED:
            await self._history.note(job)
        return job.key

    async def _asked_to_stop(self, keys: list[str]) -> set[str]:
        found = await self._redis.mget([Job("?", key=key).abort_id for key in keys])
        reasons = {
            key: reason for key, reason in zip(keys, found, strict=True) if reason is not None
        }
        for key, reason in reasons.items():
            if job := self.held.get(key):
                job.error = reason.decode()
        return set(reasons)
