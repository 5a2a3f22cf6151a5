"""`redis://`: SAQ's RedisQueue with leases, rescue and history."""

import asyncio
import contextlib
import copy
import time
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Self

import msgspec
import structlog
from redis.exceptions import RedisError
from saq import Job, Status
from saq.job import TERMINAL_STATUSES
from saq.queue.redis import RedisQueue as SaqRedisQueue
from saq.types import WorkerInfo
from saq.utils import now

from service import contract
from service.db import UNAVAILABLE, Connection, Password, backoff
from service.queue.broker_queue import BrokerQueue
from service.queue.bulk_action import BulkAction
from service.queue.errors import InvalidOptionError, JobNotFoundError, JobStateError
from service.queue.interface import BULK_JOBS, new_owner
from service.queue.job import LeasedJob, retry_delay
from service.queue.redis import redis_bulk
from service.queue.redis.redis_client import CLIENT, Client
from service.queue.redis.redis_consumer import RedisConsumer
from service.queue.redis.redis_history import RedisHistory
from service.queue.redis.redis_jobs import CRASHES, RedisJobs
from service.queue.redis.redis_reads import RedisReads
from service.queue.schedules.scheduler import TableScheduler
from service.queue.schedules.store import ScheduleTable
from service.queue.tables import table_statements
from service.queue.tables.connections import Database
from service.queue.tasks.registry import Registry

log = structlog.stdlib.get_logger("queue")


class RedisQueue(BrokerQueue, RedisReads):  # type: ignore[misc] # from_url makes none of ours
    """SAQ's queue on Redis; history and schedules are in the application's database.

    Jobs of a worker that has been dead for twelve seconds are queued again, which costs no attempt.
    """

    scheme = "redis"
    lacks = MappingProxyType(
        {
            "priority": "has no priorities: jobs run as they come; postgresql:// has them",
            "group_key": "has no groups; postgresql:// has them",
        }
    )
    lacks_filters = MappingProxyType(
        {"payload": "has its payloads where none can be looked for; postgresql:// can"}
    )
    lacks_bulk = MappingProxyType(
        dict.fromkeys(
            ("run-now", "priority", "undo"),
            "redis:// retries, cancels and deletes; postgresql:// also changes jobs that wait",
        )
    )
    consumer: RedisConsumer
    scheduler: TableScheduler

    def __init__(
        self,
        url: str,
        registry: Registry,
        *,
        database: str,
        name: str = contract.QUEUE_NAME,
        pool_size: int = 4,
        password: Password | None = None,
        concurrency: int | None = None,
        served: contract.ServedQueues | None = None,
        worker_pool: str = "",
    ) -> None:
        super().__init__(
            registry, Client.from_url(url, **CLIENT), name, msgspec.json.encode,
            msgspec.json.decode, served=served, worker_pool=worker_pool,
        )  # fmt: skip
        self.concurrency = concurrency
        self.owner = new_owner()
        self.channel = f"saq:{name}"
        self.jobs_started = self.dead_letters = 0
        self.database = Database(database, name=name, pool_size=pool_size, password=password)
        self.scheduler = TableScheduler(self)
        self.schedule_store = ScheduleTable(self.database, name)
        self.history = RedisHistory(self)
        self.stored = RedisJobs(self, self.owner)
        self.changes = self.namespace("changes")  # the key that counts changes of schedules
        self.consumer = RedisConsumer(
            self,
            url=url,
            owner=self.owner,
            changes=self.changes,
            database=self.database,
            hand_back=self.hand_back,
            on_dead_letter=self.count_dead_letter,
            on_schedules_changed=self.scheduler.wake,
        )

    def another(self, name: str) -> Self:
        made = copy.copy(self)
        SaqRedisQueue.__init__(made, self.redis, name, msgspec.json.encode, msgspec.json.decode)
        made._loop, made._before_enqueues = self._loop, self._before_enqueues  # noqa: SLF001
        made.jobs_started = made.dead_letters = 0
        made.history = RedisHistory(made)
        made.stored = RedisJobs(made, self.owner)
        return made

    def __repr__(self) -> str:
        return f"RedisQueue(name={self.name!r})"  # SAQ's own shows the client's address

    async def connect(self) -> None:
        """Make the pool; connections to Redis and Postgres open when they are first needed."""
        if await self.database.open():
            self.consumer.resume()
            await super().connect()

    async def disconnect(self) -> None:
        await self.consumer.stop()
        with contextlib.suppress(RuntimeError, *UNAVAILABLE):  # it was never connected
            async with asyncio.timeout(2.0):
                await self.fetch(table_statements.GIVE_UP_LEASE, self.owner, self.names)
        self.database.terminate()
        with contextlib.suppress(RedisError, *UNAVAILABLE):
            await super().disconnect()

    async def ping(self) -> None:
        await self.redis.execute_command("PING")

    async def notify_workers(self, message: str) -> None:
        await self.redis.incr(self.changes)

    async def enqueue_ticks(self, jobs: list[Job], connection: Connection) -> list[Job | None]:
        """As the interface says; a job that a dead worker has enqueued already is left out.

        The schedules move on in Postgres only, so a worker may have died between the two.
        """
        return [await self._home(job).put_tick(job) for job in jobs]

    async def put_tick(self, job: Job) -> Job | None:
        key = self.own_key(job.key)
        if await self.history.pushed([key]) or await self.redis.exists(self.job_id(key)):
            job.key = key
            return None
        await self.history.forget_unpushed([key])
        return await self.put(job)

    async def put(self, job: Job) -> Job | None:
        if (home := self._home(job)) is not self:
            return await home.put(job)
        await self.prepare(job)
        if job.scheduled <= time.time():
            job.scheduled = 0  # else SAQ would treat it as delayed until its next poll
        if await self.redis.zscore(self.stored.incomplete, job.id) is not None:
            return None
        # Before the job: a worker may start it at once.
        history = await self.history.begin(job)
        try:
            put = await SaqRedisQueue._enqueue(self, job)  # noqa: SLF001
        except BaseException:
            await self.history.forget(history)
            raise
        if put is None:
            await self.history.forget(history)
            return None
        log.info("enqueued", job_key=job.key, task=job.function, queue=self.name)
        return job

    def count_dead_letter(self) -> None:
        self.dead_letters += 1

    async def dequeue(self, timeout: float = 0.0, poll_interval: float = 0.0) -> Job | None:  # noqa: ASYNC109
        """The next due job, held by this process; None after `timeout` seconds (0: no limit)."""
        job = await self.consumer.next_job(timeout)
        if job is not None:
            job.attempts -= 1  # the claim has counted it, and SAQ's worker counts it again
            job.is_dequeued = True
        return job

    async def write_outcome(self, job: Job, *, due: float | None = None) -> None:
        """Write the outcome of a held job. While Redis is away it tries again until it is back.

        `due` is when the job runs again, 0 for now; None where it has ended.
        """
        if (home := self._home(job)) is not self:
            return await home.write_outcome(job, due=due)
        held = self.own_run(job)
        if held is None:
            log.warning("not held here; its outcome is dropped", job_key=job.key)
            return None
        holder, failures = self.stored.holder(held), 0
        if due is not None:
            await self.history.note(job, due=due)  # before the job: the next worker writes after
        while True:
            try:
                if due is None:
                    answer = await self.stored.write_end(job, holder)
                else:
                    answer = await self.stored.write_queued(job, holder, due)
                break
            except UNAVAILABLE as error:
                failures += 1
                if failures == 1:
                    log.warning(
                        "outcome not written yet; trying until it is",
                        job_key=job.key, error=type(error).__name__,
                    )  # fmt: skip
                await asyncio.sleep(backoff(failures))
        if isinstance(answer, bytes):
            job.status, job.error, job.completed = Status.ABORTED, answer.decode(), now()
            return await self.write_outcome(job)
        self.consumer.release(held)
        if answer != 1:
            log.warning("lease lost; the outcome of this run is dropped", job_key=job.key)
            return None
        self.complete += job.status is Status.COMPLETE
        self.failed += job.status is Status.FAILED
        self.aborted += job.status is Status.ABORTED
        if due is None:
            await self.history.note(job)
        return None

    async def _write_end(self, job: Job, status: Status, result: Any, error: str | None) -> None:
        job.status, job.result, job.error, job.completed = status, result, error, now()
        if status is Status.COMPLETE:
            job.progress = 1.0
        await self.write_outcome(job)

    async def retry(self, job: Job, error: str | None) -> None:
        """Queue a job again.

        A job that runs in this process is queued again after its retry delay. Any other must have
        ended, else `JobStateError` is raised. Raises `JobNotFoundError` where there is none.
        """
        if (home := self._home(job)) is not self:
            return await home.retry(job, error)
        delay = retry_delay(job)
        is_held = held = self.dequeued_run(job)
        if held and held.is_dequeued and await self.defer_unknown(held, error):
            return None
        stored = job if is_held else await self.job(job.key)
        if stored is None:
            raise JobNotFoundError(job.key)
        if not is_held and stored.status not in TERMINAL_STATUSES:
            raise JobStateError(job.key, stored.status.value, "only an ended job can be retried")
        stored.status, stored.error, stored.result = Status.QUEUED, error if is_held else None, None
        stored.completed, stored.progress, stored.worker_id = 0, 0.0, None
        stored.started, stored.touched = 0, now()
        if is_held:
            await self.write_outcome(stored, due=time.time() + delay if delay else 0)
            self.retried += 1
            return None
        stored.attempts = stored.scheduled = 0
        stored.meta.pop(CRASHES, None)
        if isinstance(stored, LeasedJob):
            stored.crashes = 0
        await self.history.note(stored, due=time.time())
        if not await self.stored.retry_ended(stored):
            raise JobStateError(job.key, "queued", "only an ended job can be retried")
        job.status, job.error, job.completed = Status.QUEUED, error, 0
        return None

    async def hand_back(
        self, jobs: list[LeasedJob], error: str | None = None, *, delay: float = 0.0
    ) -> None:
        for job in jobs:
            job.attempts -= 1
            job.status, job.error, job.progress, job.worker_id = Status.QUEUED, error, 0.0, None
            job.started = 0
            await self.write_outcome(job, due=time.time() + delay if delay else 0)

    async def abort(self, job: Job, error: str, ttl: float = 5) -> None:
        """Cancel a job: at once while it waits, by its worker while it runs.

        Raises `JobNotFoundError`, and `JobStateError` where it has ended.
        """
        if (home := self._home(job)) is not self:
            return await home.abort(job, error, ttl)
        stored = await self.job(job.key)
        if stored is None:
            raise JobNotFoundError(job.key)
        state, stored.status, stored.error = stored.status, Status.ABORTED, error
        stored.completed = now()
        was = await self.stored.write_aborted(stored, error)
        if was == b"ended":
            raise JobStateError(
                job.key, state.value, "only a waiting or running job can be cancelled"
            )
        if was == b"active":
            job.status, job.error = Status.ABORTING, error
            self.consumer.asked_to_abort.set()
            await self.history.note_asked_to_abort(job)
            return None
        self.aborted += 1
        job.status, job.error = stored.status, error
        await self.notify(stored)
        await self.history.note(stored)
        return None

    async def _update(self, job: Job, status: Status | None = None, **kwargs: Any) -> None:
        """Store a held job's progress and meta, or a waiting job's payload; never its status."""
        if (home := self._home(job)) is not self:
            await home._update(job, status, **kwargs)  # noqa: SLF001 - one of these
        elif run := self.updated_run(job):
            await self.stored.write_held(run)
        elif await self.redis.zscore(self.stored.incomplete, job.id) is not None:
            await SaqRedisQueue._update(self, job)  # noqa: SLF001

    async def schedule(self, _lock: int = 1) -> list[str]:
        """Enqueue due delayed jobs and due ticks; SAQ's own worker calls this."""
        for queue in self.all:
            await SaqRedisQueue.schedule(queue, _lock)
        return await self.scheduler.tick()

    async def sweep(self, lock: int = 60, abort: float = 5.0) -> list[str]:
        """Queue the jobs of dead workers again, and prune. Returns the keys of the queued jobs."""
        swept = await self.consumer.rescue()
        swept += await self.sweep_dequeued(abort)
        await self.prune()
        return swept

    async def change_jobs(
        self, action: BulkAction, jobs: Mapping[int, tuple[str, str]], place: int
    ) -> BulkAction | None:
        return await redis_bulk.change(self, action, jobs, place)

    async def restore_jobs(
        self, action: BulkAction, undone: BulkAction, was: list[dict[str, Any]], place: int
    ) -> BulkAction | None:
        raise InvalidOptionError("action", self.lacks_bulk["undo"])

    async def clear(self, status: Status, *, task: str | None = None) -> int:
        cleared = 0
        async for page in self.retained(status, task):
            if page:
                cleared += int(await self.redis.delete(*(self.job_id(job.key) for job in page)))
            if cleared >= BULK_JOBS:
                break
        return cleared

    async def prune(self) -> int:
        """Repair the history and delete expired rows. Redis deletes expired jobs itself."""
        for queue in self.all:
            await queue.history.repair()
        deleted = 0
        for statement in (
            table_statements.PRUNE_HISTORY, table_statements.PRUNE_WORKERS,
            table_statements.PRUNE_RUNS, table_statements.PRUNE_ATTEMPTS,
            table_statements.PRUNE_CHILDREN,
        ):  # fmt: skip
            deleted += len(await self.fetch(statement))
        return deleted

    async def write_worker_info(self, worker_id: str, info: WorkerInfo, ttl: int) -> None:
        """Store what SAQ's web page shows of a worker, for each queue that it serves."""
        for name in self.served.names:
            await SaqRedisQueue.write_worker_info(self.named(name), worker_id, info, ttl)
