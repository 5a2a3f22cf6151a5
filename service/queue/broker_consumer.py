"""The worker's side of a queue that claims its jobs one by one from a broker."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

import structlog

from service.db import UNAVAILABLE, backoff
from service.queue.dequeue import Slot, next_job
from service.queue.job import LeasedJob

STUCK_SECONDS = 60.0  # a claim that has not returned after so long hangs

log = structlog.stdlib.get_logger("queue")


class BrokerConsumer:
    """Claims a job for each free slot and keeps their lease. Both loops start with the first slot.

    `claim(room)` returns at most `room` jobs; without one it waits a second at the most, or until
    `wake()`. `aborted(keys)` returns which of the held jobs were aborted. `keep()` is called every
    `keep_seconds` and keeps this worker from counting as dead.
    """

    def __init__(
        self,
        *,
        hand_back: Callable[[list[LeasedJob]], Awaitable[None]],
        claim: Callable[[int], Awaitable[list[LeasedJob]]],
        aborted: Callable[[list[str]], Awaitable[set[str]]],
        wake: Callable[[], None] = lambda: None,
        keep: Callable[[], Awaitable[None]] | None = None,
        keep_seconds: float = 3.0,
    ) -> None:
        self.prefetch = 0  # not used: nothing is claimed ahead
        self.asked_to_abort = asyncio.Event()
        self.held: dict[str, LeasedJob] = {}
        self._hand_back = hand_back
        self._claim = claim
        self._aborted = aborted
        self._wake = wake
        self._keep = keep
        self._keep_seconds = keep_seconds
        self._slots: deque[Slot] = deque()
        self._has_room = asyncio.Event()
        self._is_resting = asyncio.Event()  # no claim is under way
        self._is_resting.set()
        self.is_idle = asyncio.Event()  # the last claim found nothing due
        self._is_paused = False
        self._turned_at = 0.0
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def is_started(self) -> bool:
        return bool(self._tasks)

    def holds(self, job: LeasedJob) -> bool:
        """Does this process hold this run of the job?"""
        return self.held.get(job.key) is job

    def release(self, job: LeasedJob) -> None:
        """Forget a job whose outcome has been written."""
        if self.holds(job):
            del self.held[job.key]

    def wait(self, slot: Slot) -> None:
        if self._is_paused:
            slot(None)
            return
        if not self._tasks:
            self._turned_at = asyncio.get_running_loop().time()
            self._tasks = [asyncio.create_task(self._claim_forever(), name="queue claim")]
            if self._keep:
                self._tasks.append(asyncio.create_task(self._keep_forever(), name="queue keep"))
        self._slots.append(slot)
        self._has_room.set()

    async def next_job(self, timeout: float = 0.0) -> LeasedJob | None:  # noqa: ASYNC109
        """The next due job; None after `timeout` seconds (0: no limit) or once paused."""
        return await next_job(self.wait, self._slots, self.is_idle, timeout, self._give_back)

    def _give_back(self, job: LeasedJob) -> None:
        self._returning = asyncio.create_task(self._deliver([job]))

    def resume(self) -> None:
        self._is_paused = False

    async def pause(self) -> None:
        self._is_paused = True
        while self._slots:
            self._slots.popleft()(None)
        self._wake()
        await self._is_resting.wait()

    async def stop(self) -> None:
        """Stop the loops. Jobs that are still held go to other workers when the lease expires."""
        await self.pause()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._tasks = []
        self.is_idle.clear()

    def skip_task(self, task: str, seconds: float) -> None:
        pass  # a broker cannot choose by task; handed back with a delay, the job reaches another

    async def jobs_to_stop(self) -> list[LeasedJob]:
        stop = await self._aborted(list(self.held)) if self.held else set()
        return [job for key, job in self.held.items() if key in stop]

    def is_live(self) -> bool:
        if not self._tasks:
            return True
        is_late = asyncio.get_running_loop().time() - self._turned_at > STUCK_SECONDS
        return not (is_late and self._slots) and not any(task.done() for task in self._tasks)

    def seconds_since_heard(self) -> float | None:
        return None

    async def _claim_forever(self) -> None:
        failures = 0
        while True:
            await self._has_room.wait()
            room = 0 if self._is_paused else len(self._slots)
            if not room:
                self._has_room.clear()
                continue
            self._turned_at = asyncio.get_running_loop().time()
            self._is_resting.clear()
            try:
                claimed = await self._claim(room)
                if len(claimed) < room:
                    self.is_idle.set()
                else:
                    self.is_idle.clear()
                if self._is_paused:
                    await self._hand_back(claimed)
                else:
                    await self._deliver(claimed)
                failures = 0
            except Exception as error:  # whatever it is, this loop has to go on
                failures += 1
                self.is_idle.clear()
                _log_failure("cannot claim jobs", error, failures)
                self._is_resting.set()
                await asyncio.sleep(backoff(failures))
            finally:
                self._is_resting.set()

    async def _deliver(self, jobs: list[LeasedJob]) -> None:
        if jobs and not self.held:
            self.asked_to_abort.set()  # an idle worker polls for aborts seldom, a busy one often
        for job in jobs:
            self.held[job.key] = job
            while self._slots:
                if self._slots.popleft()(job):
                    break
            else:
                await self._hand_back([job])  # its slot was cancelled meanwhile

    async def _keep_forever(self) -> None:
        assert self._keep is not None
        failures = 0
        while True:
            try:
                await self._keep()
                failures = 0
            except Exception as error:
                failures += 1
                _log_failure("cannot keep the lease of the running jobs", error, failures)
            await asyncio.sleep(self._keep_seconds)


def _log_failure(what: str, error: Exception, failures: int) -> None:
    if not isinstance(error, UNAVAILABLE):
        log.error(what, failures=failures, exc_info=error)
    elif failures == 1:
        log.warning(what, error=type(error).__name__)
