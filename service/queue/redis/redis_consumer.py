"""The worker's side of a Redis queue: claims jobs, keeps the lease, and rescues lost jobs."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from saq import Job, Status
from saq.queue.redis import RedisQueue as SaqRedisQueue
from saq.utils import now

from service.db import UNAVAILABLE
from service.queue.broker_consumer import BrokerConsumer
from service.queue.fetch_order import FetchOrder
from service.queue.job import CRASHES_MAX, DIED, LeasedJob, MalformedJobError, unread_job
from service.queue.redis.redis_client import KEEP_SECONDS, LEASE_SECONDS, Beat
from service.queue.redis.redis_jobs import CRASHES
from service.queue.redis.redis_reads import RedisReads
from service.queue.tables import table_statements
from service.queue.tables.connections import Database

CLAIM_SECONDS = 0.5  # the longest wait for a job; a worker that stops waits for its end
TURN_SECONDS = 0.1  # the same, for one of several queues: Redis waits for one list at a time
# A job in the active list without a holder is rescued after so long. A stock SAQ worker may run it,
# or the answer to its claim was lost.
UNHELD_SECONDS = 12.0

log = structlog.stdlib.get_logger("queue")


class RedisConsumer(BrokerConsumer):
    """Claims due jobs, keeps this worker's lease, and rescues the jobs of dead workers."""

    def __init__(
        self,
        queue: RedisReads,
        *,
        url: str,
        owner: str,
        changes: str,
        database: Database,
        hand_back: Callable[[list[LeasedJob]], Awaitable[None]],
        on_dead_letter: Callable[[], None],
        on_schedules_changed: Callable[[], None],
    ) -> None:
        super().__init__(
            hand_back=hand_back,
            claim=self._claim_due,
            aborted=self._find_aborted,
            keep=self._keep_lease,
            keep_seconds=KEEP_SECONDS,
        )
        self._queue = queue
        self._redis: Any = queue.redis  # redis-py's types do not say that the answers are awaitable
        self._url = url
        self._owner = owner
        self._changes = changes
        self._order: FetchOrder | None = None
        self._turn = 0  # of the queues on which to wait
        self._database = database
        self._on_dead_letter = on_dead_letter
        self._on_schedules_changed = on_schedules_changed
        self._beat: Beat | None = None
        self._unheld: dict[bytes, float] = {}  # active job ids without a holder, since when
        self._seen_changes: bytes | None = None  # the counter of changed schedules

    async def stop(self) -> None:
        await super().stop()
        if self._beat:
            await asyncio.to_thread(self._beat.stop)
            self._beat = None

    async def _claim_due(self, room: int) -> list[LeasedJob]:
        await self._wait_until_alive()
        if self._order is None:
            self._order = FetchOrder(self._queue.served)
        names = self._order.names
        for name in names:
            # moves delayed jobs that are due to the queued list
            await SaqRedisQueue.schedule(self._queue.named(name))
        shares = dict(zip(names, self._order.shares(names, room), strict=True))
        claimed: list[LeasedJob] = []
        for name, share in shares.items():
            claimed += await self._claim_of(name, share)
        claimed += await self._claim_in_order(names, room - len(claimed))
        if not claimed:
            await self._wait_for_job(names)
            claimed = await self._claim_in_order(names, room)
        self._order.note(shares, Counter(job.get_queue().name for job in claimed))
        return self._order.sorted(claimed)

    async def _claim_in_order(self, names: list[str], room: int) -> list[LeasedJob]:
        claimed: list[LeasedJob] = []
        for name in names:
            claimed += await self._claim_of(name, room - len(claimed))
        return claimed

    async def _claim_of(self, name: str, room: int) -> list[LeasedJob]:
        """At most `room` jobs of that queue."""
        queue = self._queue.named(name)
        claimed: list[tuple[bytes, int, bytes | None]] = []
        while len(claimed) < room and (one := await queue.stored.claim()) is not None:
            claimed.append(one)
        # at once, so that their history is one statement
        started = await asyncio.gather(*(self._start(queue, *each) for each in claimed))
        return [job for job in started if job]

    async def _wait_for_job(self, names: list[str]) -> None:
        """Wait a moment for a job in one of the queues, each in its turn, and leave it there."""
        self._turn = (self._turn + 1) % len(names)
        stored = self._queue.named(names[self._turn]).stored
        seconds = CLAIM_SECONDS if len(names) == 1 else TURN_SECONDS
        if await stored.is_paused():
            await asyncio.sleep(seconds)
        else:  # only CLAIM records who holds a job
            await self._redis.blmove(stored.queued, stored.queued, seconds, "LEFT", "LEFT")

    async def _start(
        self, queue: RedisReads, job_id: bytes, lease: int, blob: bytes | None
    ) -> LeasedJob | None:
        try:
            job = queue.stored.read(blob)
        except MalformedJobError as error:
            await self._dead_letter(queue, job_id, lease, f"malformed job: {error}")
            return None
        job.lease, job.claimed_at = lease, asyncio.get_running_loop().time()
        job.attempts += 1
        job.status, job.started, job.progress = Status.ACTIVE, now(), 0.0
        job.worker_id, job.touched = self._owner, job.started
        await queue.stored.write_held(job)
        await queue.history.note(job)
        return job

    async def _dead_letter(self, queue: RedisReads, job_id: bytes, lease: int, error: str) -> None:
        """Fail what no job can be read from, so that it shows and is not claimed again."""
        self._on_dead_letter()
        key = queue.job_key_from_id(job_id.decode(errors="replace"))
        job = unread_job(key, lease)
        job.queue, job.status, job.error, job.worker_id = queue, Status.FAILED, error, self._owner
        job.completed = now()
        log.error("malformed job", job_key=key, reason=error)
        await queue.stored.write_end(job, queue.stored.holder(job))
        await queue.history.note(job)

    async def _wait_until_alive(self) -> None:
        if self._beat is None:
            self._beat = Beat(self._url, self._alive_key(self._owner))
            self._beat.start()
        self._beat.note_main_loop()
        for _ in range(10):
            if self._beat.is_fresh():
                return
            await asyncio.sleep(0.1)
        raise ConnectionError("Redis does not answer: this worker cannot renew its lease")

    def _alive_key(self, owner: str) -> str:
        return self._queue.namespace(f"alive:{owner}")

    async def _keep_lease(self) -> None:
        queue = self._queue
        if self._beat:
            self._beat.note_main_loop()
        with contextlib.suppress(*UNAVAILABLE):
            (row,) = await self._database.fetch(
                table_statements.RENEW, *queue.renewal(float(LEASE_SECONDS))
            )
            if row["is_draining"] and queue.on_drain:
                queue.on_drain()
        changes = await self._redis.get(self._changes)
        if changes != self._seen_changes:
            self._seen_changes = changes
            self._on_schedules_changed()
        if self._beat and self._beat.may_rescue():
            await self.rescue()

    async def rescue(self) -> list[str]:
        """Queue the jobs of dead workers again, whichever queue they are of. Returns their keys."""
        return [key for queue in self._queue.all for key in await self._rescue_of(queue)]

    async def _rescue_of(self, queue: RedisReads) -> list[str]:
        ids = await self._redis.lrange(queue.stored.active, 0, -1)
        prefix = queue.job_id("").encode()
        self._unheld = {
            job_id: at
            for job_id, at in self._unheld.items()
            if job_id in ids or not job_id.startswith(prefix)
        }
        if not ids:
            return []
        holders = await self._redis.hmget(queue.stored.holders, ids)
        owners = [(holder or b"").rpartition(b"|")[0].decode() for holder in holders]
        alive = await self._redis.mget([self._alive_key(owner) for owner in owners])
        back = []
        for job_id, holder, owner, is_alive in zip(ids, holders, owners, alive, strict=True):
            # This worker holds the job and does not know it: the answer to its claim was lost.
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
            if key := await self.rescue_job(
                job_id, (holder or b"").decode(), is_crash=is_crash, queue=queue
            ):
                back.append(key)
        return back

    async def rescue_job(
        self, job_id: bytes, holder: str, *, is_crash: bool, queue: RedisReads | None = None
    ) -> str | None:
        """Queue the job again, if `holder` still holds it. Returns its key, or None."""
        queue = queue or self._queue
        try:
            job = queue.stored.read(await self._redis.get(job_id))
        except MalformedJobError:
            # The next worker that claims it fails it.
            await self._redis.lrem(queue.stored.active, 0, job_id)
            await self._redis.rpush(queue.stored.queued, job_id)
            return None
        if is_crash:
            job.crashes += 1
            job.meta[CRASHES] = job.crashes
        if job.status is not Status.QUEUED:  # queued: claimed, but never started
            job.attempts = max(job.attempts - 1, 0)
        job.status, job.worker_id = Status.QUEUED, None
        job.error = "its worker died while running it"
        if job.crashes >= CRASHES_MAX:
            job.status, job.completed = Status.FAILED, now()
            job.error = f"{DIED} {job.crashes} times while running it"
            answer = await queue.stored.write_end(job, holder)
        else:
            await queue.history.note(job)  # before the job: the next worker writes after this
            answer = await queue.stored.write_queued(job, holder)
        if isinstance(answer, bytes):  # it was aborted before
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            answer = await queue.stored.write_end(job, holder)
        if answer != 1:
            return None
        log.warning("took a job from a dead worker", job_key=job.key, status=job.status.value)
        if job.status is Status.FAILED:
            self._on_dead_letter()
        if job.status is not Status.QUEUED:
            await queue.history.note(job)
        return job.key

    async def _find_aborted(self, keys: list[str]) -> set[str]:
        found = await self._redis.mget([Job("?", key=key).abort_id for key in keys])
        reasons = {
            key: reason for key, reason in zip(keys, found, strict=True) if reason is not None
        }
        for key, reason in reasons.items():
            if job := self.held.get(key):
                job.error = reason.decode()
        return set(reasons)
