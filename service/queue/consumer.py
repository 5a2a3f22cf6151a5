"""The worker's side of the queue: claims due jobs for free slots, keeps the lease alive."""

import asyncio
import random
from collections import deque
from datetime import datetime
from typing import TYPE_CHECKING

import structlog
from croniter import croniter

from service.db import UNAVAILABLE, backoff
from service.queue import job as rows
from service.queue import statements as sql
from service.queue.dispatch import build_job
from service.queue.job import LeasedJob, MalformedJobError
from service.queue.listener import Listener

if TYPE_CHECKING:
    from service.queue.postgres import PostgresQueue

BEAT_SECONDS = 3.0
LEASE_SECONDS = 12.0  # without a beat for this long, the jobs go to other workers
MOVING_SECONDS = 90.0  # above the longest poll and every time limit of a statement

log = structlog.stdlib.get_logger("queue")


class Consumer:
    """Hands due jobs to waiting slots, as many as wait and no more; nothing is claimed ahead.

    Its tasks start with the first `next_job`. Jobs it has claimed are held under the lease of this
    worker, which any other worker may end once its beats stop.
    """

    def __init__(self, queue: "PostgresQueue", *, poll_seconds: float) -> None:
        self._queue = queue
        self._poll_seconds = poll_seconds
        self._held: dict[str, LeasedJob] = {}
        self._ready: deque[LeasedJob] = deque()  # claimed, and its slot went away
        self._waiting: deque[asyncio.Future[LeasedJob | None]] = deque()
        self._has_waiting = asyncio.Event()
        self._has_news = asyncio.Event()
        self._is_alive = asyncio.Event()
        self._is_paused = False
        self._beat_at = float("-inf")  # event-loop time of the last beat that was written
        self._tried_to_beat_at = self._claimed_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []
        self._ticks: dict[tuple[str, str], int] = {}
        self.asked_to_abort = asyncio.Event()
        self.listener = Listener(queue.listening_connection, queue.channel, self._on_message)

    def holds(self, job: LeasedJob) -> bool:
        """Is this very run of the job this process's? Another read of the same key is not."""
        return self._held.get(job.key) is job

    def release(self, job: LeasedJob) -> None:
        """Forget a job whose outcome has been written."""
        if self.holds(job):
            del self._held[job.key]
        self._has_news.set()  # a retry, or the next of its group, may be due before the next poll

    async def next_job(self, timeout: float = 0.0) -> LeasedJob | None:  # noqa: ASYNC109
        """The next due job; None after `timeout` seconds (0 waits for ever) or once paused."""
        await self._queue.connect()
        self._start()
        if self._is_paused:
            return None
        if self._ready:
            return self._ready.popleft()
        future: asyncio.Future[LeasedJob | None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        self._has_waiting.set()
        try:
            async with asyncio.timeout(timeout or None):
                return await future
        except (TimeoutError, asyncio.CancelledError) as error:
            # The job may have arrived in the very turn in which its slot gave up.
            if future.done() and not future.cancelled() and (job := future.result()):
                self._deliver([job])
            future.cancel()
            if isinstance(error, TimeoutError):
                return None
            raise

    async def pause(self) -> None:
        """Claim nothing from now on; waiting slots get None, unstarted jobs go back."""
        self._is_paused = True
        for future in self._waiting:
            if not future.done():
                future.set_result(None)
        self._waiting.clear()
        unstarted, self._ready = list(self._ready), deque()
        await self._queue.hand_back(unstarted)

    async def stop(self) -> None:
        """End the tasks and give up the lease; a job still held goes to another worker."""
        if not self._tasks:
            return
        await self.pause()
        await self.listener.stop()
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        try:
            await self._queue.fetch(sql.LEAVE, self._queue.owner)
        except UNAVAILABLE as error:
            log.warning("could not give up the lease; it runs out", error=type(error).__name__)
        self._is_paused = False

    def _start(self) -> None:
        if not self._tasks:
            self._tried_to_beat_at = self._claimed_at = self._loop_time()
            self._tasks = [
                asyncio.create_task(self._beat_forever(), name="queue beat"),
                asyncio.create_task(self._claim_forever(), name="queue claim"),
            ]
            self.listener.start()

    def _on_message(self, payload: str) -> None:
        if payload in ("saq:enqueue", ""):
            self._has_news.set()
        if payload in ("saq:abort", ""):
            self.asked_to_abort.set()

    def _deliver(self, jobs: list[LeasedJob]) -> None:
        for job in jobs:
            while self._waiting:
                future = self._waiting.popleft()
                if not future.done():
                    future.set_result(job)
                    break
            else:
                self._ready.append(job)

    async def _claim_forever(self) -> None:
        failures = 0
        while True:
            await self._has_waiting.wait()
            # Jobs claimed without a live lease would be taken away at once.
            await self._is_alive.wait()
            if self._loop_time() - self._beat_at > LEASE_SECONDS - BEAT_SECONDS:
                self._is_alive.clear()  # this process was frozen: beat first
                continue
            wanted = sum(not future.done() for future in self._waiting)
            if not wanted or self._is_paused:
                self._has_waiting.clear()
                continue
            self._claimed_at = self._loop_time()
            self._has_news.clear()
            try:
                claimed = await self._claim(wanted)
                if self._is_paused:
                    await self._queue.hand_back(claimed)
                    continue
                self._deliver(claimed)
                if failures:
                    log.info("claiming again")
                failures = 0
                if len(claimed) < wanted:
                    await self._wait_for_news(await self._seconds_until_due())
            except Exception as error:  # whatever it is, a loop that ends would leave a deaf worker
                failures += 1
                _log_failure("cannot claim jobs", error, failures)
                await asyncio.sleep(backoff(failures))

    async def _claim(self, wanted: int) -> list[LeasedJob]:
        queue = self._queue
        found = await queue.fetch(sql.CLAIM, queue.name, wanted, queue.owner)
        claimed = []
        for row in sorted(found, key=lambda row: (row["priority"], row["scheduled"])):
            try:
                job = rows.load(row, queue)
            except MalformedJobError as error:
                await queue.bury(row["key"], row["lease"], f"malformed job: {error}")
            else:
                self._held[job.key] = job
                claimed.append(job)
        return claimed

    async def _seconds_until_due(self) -> float | None:
        (row,) = await self._queue.fetch(sql.NEXT_DUE, self._queue.name)
        seconds: float | None = row["seconds"]
        return seconds

    async def _wait_for_news(self, due_seconds: float | None) -> None:
        seconds = self._poll_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        if due_seconds is not None:
            # A due job that was not claimed is locked or its group is busy: not worth a hot loop.
            seconds = min(seconds, due_seconds if due_seconds > 0 else 0.2)
        try:
            async with asyncio.timeout(seconds):
                await self._has_news.wait()
        except TimeoutError:
            pass

    async def _beat_forever(self) -> None:
        queue, failures, steady_since = self._queue, 0, float("-inf")
        while True:
            self._tried_to_beat_at = sent_at = self._loop_time()
            try:
                await queue.fetch(sql.BEAT, queue.owner, queue.name, LEASE_SECONDS)
                self._beat_at = sent_at
                self._is_alive.set()
                if failures:
                    log.info("the lease is renewed again")
                    # The others may have been cut off too: they get a lease's time to beat before
                    # their jobs are taken.
                    steady_since = sent_at
                failures = 0
                if sent_at - steady_since > LEASE_SECONDS:
                    await self.recover()
            except Exception as error:  # as above
                failures += 1
                _log_failure("cannot renew the lease", error, failures)
            await asyncio.sleep(BEAT_SECONDS * random.uniform(0.8, 1.2))  # noqa: S311 - jitter

    def is_moving(self) -> bool:
        """Do the loops turn? They do while the database is away: a restart would not bring it."""
        if not self._tasks:
            return True
        oldest = self._tried_to_beat_at
        if any(not future.done() for future in self._waiting) and self._is_alive.is_set():
            oldest = min(oldest, self._claimed_at)
        return self._loop_time() - oldest < MOVING_SECONDS and not any(
            task.done() for task in self._tasks
        )

    @staticmethod
    def _loop_time() -> float:
        return asyncio.get_running_loop().time()

    async def recover(self) -> list[str]:
        """Requeue every job whose worker's lease has run out; their keys."""
        found = await self._queue.fetch(sql.RECOVER, self._queue.name, self._queue.channel)
        for row in found:
            log.warning("took a job from a dead worker", job_key=row["key"], status=row["status"])
        return [row["key"] for row in found]

    async def aborting(self) -> list[LeasedJob]:
        """The jobs of this worker that somebody wants stopped."""
        if not self._held:
            return []
        found = await self._queue.fetch(sql.ABORTING, self._queue.name, self._queue.owner)
        return [self._held[row["key"]] for row in found if row["key"] in self._held]

    async def prune(self) -> int:
        """Delete ended jobs and history past their time, a thousand rows a statement; how many."""
        deleted = 0
        for statement in (sql.PRUNE_JOBS, sql.PRUNE_HISTORY, sql.PRUNE_WORKERS, sql.PRUNE_STATS):
            while True:
                gone = len(await self._queue.fetch(statement))
                deleted += gone
                if gone < sql.PRUNE_ROWS:
                    break
        return deleted

    async def schedule_ticks(self) -> list[str]:
        """Enqueue the coming tick of each schedule, where this process has not done so; their keys.

        A tick's key is made of the task's name and its time, so any number of workers may do this.
        """
        keys = []
        for task in self._queue.registry.tasks.values():
            for schedule in task.schedules:
                start = datetime.now(schedule.tz)
                tick = int(croniter(schedule.cron, start).get_next(datetime).timestamp())
                if self._ticks.get((task.name, schedule.cron)) == tick:
                    continue
                job = build_job(self._queue.registry, task.name, {})
                job.key, job.scheduled = f"cron:{task.name}:{tick}", tick
                await self._queue.enqueue_tick(job)
                self._ticks[task.name, schedule.cron] = tick
                keys.append(job.key)
        return keys


def _log_failure(what: str, error: Exception, failures: int) -> None:
    if not isinstance(error, UNAVAILABLE):
        log.error(what, failures=failures, exc_info=error)
    elif failures == 1:  # one line for an outage, however long
        log.warning(what, error=type(error).__name__)
