"""The worker's side of the queue: claims due jobs and hands them to free slots."""

import asyncio
import contextlib
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

import asyncpg
import structlog
from saq import Status

from service import contract
from service.db import UNAVAILABLE, backoff
from service.queue.dequeue import Slot, next_job
from service.queue.fetch_order import FetchOrder
from service.queue.interface import PAUSES
from service.queue.job import LeasedJob, unread_job
from service.queue.postgres import statements as sql
from service.queue.postgres.claims import Claims
from service.queue.postgres.lease import Lease
from service.queue.postgres.listener import Listener
from service.queue.postgres.stock_clients import publish_forever
from service.queue.schedules.scheduler import CHANGED
from service.queue.tables.table_queue import TableQueue

PREFETCH_SECONDS = 1.0  # a job claimed ahead that no slot has taken for so long is handed back
# After this worker is first marked as waiting, it claims once more: an enqueue that was under way
# did not notify it.
CLAIM_AGAIN_SECONDS = 0.05
PROMOTE_SECONDS = 0.5  # between promotions of delayed jobs while there is a backlog
STUCK_SECONDS = 90.0  # longer than a poll and any timeout of a statement

log = structlog.stdlib.get_logger("queue")


class PostgresConsumer:
    """Claims due jobs and hands them to waiting slots.

    While there is a backlog it claims up to `prefetch` jobs ahead, so that slots need not wait for
    the database; without one it claims only for waiting slots. Its loops start with the first slot.
    """

    def __init__(
        self,
        queue: TableQueue,
        lease: Lease,
        *,
        warm_up: Callable[[], Awaitable[None]],
        dead_letter: Callable[[str, int, str], Coroutine[Any, Any, None]],
        on_schedules_changed: Callable[[], None],
        poll_seconds: float,
    ) -> None:
        self._queue = queue
        self._warm_up = warm_up
        self._on_schedules_changed = on_schedules_changed
        self._poll_seconds = poll_seconds
        self.prefetch = 0
        self._order = FetchOrder(contract.ServedQueues())
        self._slots: deque[Slot] = deque()
        self._ready: deque[LeasedJob] = deque()  # claimed ahead, no slot has taken them yet
        self._claims = Claims(queue, dead_letter)
        self.held = self._claims.held
        self._is_backlog = False  # the last claim found as many jobs as it asked for
        self._is_waiting = False  # an enqueue notifies this worker
        self._is_paused = False
        self._ready_timer: asyncio.TimerHandle | None = None
        self._passing: asyncio.Task[None] | None = None
        self._claiming = asyncio.Lock()
        self._has_room = asyncio.Event()
        self._woken = asyncio.Event()
        self.is_idle = asyncio.Event()  # the last claim found nothing due
        # Event-loop times of the last promotion of delayed jobs, and of the next one that is
        # needed: else each new job would make all idle workers promote.
        self._promoted_at = self._promote_at = 0.0
        self._due_at: float | None = None  # event-loop time at which the next delayed job is due
        self._turned_at = 0.0  # event-loop time of the claim loop's last turn
        self._task: asyncio.Task[None] | None = None
        self._skipped_tasks: dict[str, float] = {}  # each task, until an event-loop time
        self.asked_to_abort = asyncio.Event()
        self.lease = lease
        self.listener = Listener(
            partial(queue.database.own_connection, "listen"), self._channels, self._on_message
        )

    def _channels(self) -> list[str]:
        queue = self._queue
        own = f"moorage:{queue.owner}"  # an enqueue wakes as many workers as there are jobs
        return [own, *(queue.named(name).channel for name in queue.served.names)]

    def holds(self, job: LeasedJob) -> bool:
        """Does this process hold this run of the job?"""
        return self._claims.holds(job)

    def release(self, job: LeasedJob) -> None:
        """Forget a job whose outcome has been written."""
        self._claims.release(job)

    @property
    def is_started(self) -> bool:
        """Does this process claim jobs?"""
        return self._task is not None

    def seconds_since_heard(self) -> float:
        """Seconds since LISTEN last received its own ping."""
        return self.listener.seconds_since_heard()

    def skip_task(self, task: str, seconds: float) -> None:
        """Claim no job of that task for `seconds`: a worker of another release may know it."""
        now = asyncio.get_running_loop().time()
        self._skipped_tasks = {
            each: until for each, until in self._skipped_tasks.items() if until > now
        }
        self._skipped_tasks[task] = now + seconds

    def wake(self) -> None:
        """Claim and promote now: this process may have made a job due, now or later."""
        self._promote_at = 0.0
        self._woken.set()

    def wait(self, slot: Slot) -> None:
        """Call `slot(job)` with the next job, at once where one is claimed; None once paused."""
        if self._is_paused:
            slot(None)
            return
        if self._task is None:
            self._start()
        if self._ready:
            slot(self._ready.popleft())
            self._has_room.set()
        else:
            self._slots.append(slot)
            self._has_room.set()

    async def next_job(self, timeout: float = 0.0) -> LeasedJob | None:  # noqa: ASYNC109
        """The next due job; None after `timeout` seconds (0: no limit) or once paused."""
        return await next_job(
            self.wait, self._slots, self.is_idle, timeout, lambda job: self._deliver([job])
        )

    async def pause(self) -> None:
        """Claim no more. Waiting slots get None; jobs that no slot has taken are handed back."""
        self._is_paused = True
        while self._slots:
            self._slots.popleft()(None)
        await self._return_ready()

    async def stop(self) -> None:
        """Stop the loops and give up the lease; jobs that are still held go to other workers."""
        await self.pause()
        if self._task is None:
            return
        await self.listener.stop()
        self._task.cancel()
        self._show.cancel()
        await asyncio.wait([self._task, self._show])
        self._task = None
        await self.lease.give_up()
        self._is_backlog = self._is_waiting = False

    def resume(self) -> None:
        """Claim again, after a `pause` or `stop`."""
        self._is_paused = False

    def is_live(self) -> bool:
        """Are the loops running, none stuck? An outage of the database does not count."""
        if self._task is None:
            return True
        now = asyncio.get_running_loop().time()
        if self._slots and self.lease.is_alive.is_set() and now - self._turned_at > STUCK_SECONDS:
            return False
        return not self._task.done() and self.lease.is_live()

    async def jobs_to_stop(self) -> list[LeasedJob]:
        """The running jobs of this worker that were aborted.

        Also hands back rows that name this worker as owner and that it does not hold: the answer to
        their claim was lost with its connection, or came after the claim was given up.
        """
        queue = self._queue
        async with self._claiming:
            known = set(self.held)
            found = await queue.fetch(sql.OWNED, queue.names, queue.owner)
        unknown = [row for row in found if row["key"] not in known | self.held.keys()]
        await queue.hand_back([unread_job(row["key"], row["lease"]) for row in unknown])
        stop = [row for row in found if row["status"] == Status.ABORTING]
        wanted = []
        for row in stop:
            if job := self.held.get(row["key"]):
                job.error = row["error"]
                wanted.append(job)
        for job in [job for job in wanted if job in self._ready]:
            self._ready.remove(job)
            await queue.finish(job, Status.ABORTED, error="aborted before it started")
        return wanted

    def _start(self) -> None:
        self._order = FetchOrder(self._queue.served)
        self._turned_at = asyncio.get_running_loop().time()
        self._task = asyncio.create_task(self._claim_forever(), name="queue claim")
        self._show = asyncio.create_task(publish_forever(self._queue, self.held), name="queue show")
        self.lease.start()
        self.listener.start()

    def _on_message(self, payload: str) -> None:
        if payload in ("saq:delayed", ""):
            self.wake()
        if payload in ("saq:enqueue", sql.WAKE):
            self._woken.set()
        # Only what this worker alone was told: what all are told, nobody has to pass on.
        if payload == sql.WAKE and (self._is_paused or not self._slots):
            self._pass_on()
        if payload in (CHANGED, ""):
            self._on_schedules_changed()
        if payload in ("saq:abort", ""):
            self.asked_to_abort.set()
        if payload in (PAUSES, ""):
            self.lease.beat_now()

    def on_pauses(self) -> None:
        """A queue was paused or resumed: hand back what is claimed ahead, and claim again."""
        if self._ready:
            self._returning = asyncio.create_task(self._return_ready())
        self.wake()

    def _deliver(self, jobs: list[LeasedJob]) -> None:
        for job in sorted(jobs, key=_is_no_suspect):
            while self._slots:
                if self._slots.popleft()(job):
                    break
            else:
                (self._ready.append if _is_no_suspect(job) else self._ready.appendleft)(job)
        if self._ready and self._order.is_strict:
            self._ready = deque(self._order.sorted(self._ready))
        self._watch_ready()

    def _watch_ready(self) -> None:
        if self._ready and self._ready_timer is None:
            loop = asyncio.get_running_loop()
            self._ready_timer = loop.call_later(PREFETCH_SECONDS / 2, self._return_stale)

    def _return_stale(self) -> None:
        """Hand back jobs that no slot has taken for a while: another worker may be idle."""
        self._ready_timer = None
        oldest = asyncio.get_running_loop().time() - PREFETCH_SECONDS
        if self._ready and self._ready[0].claimed_at < oldest:
            self._is_backlog = False
            self._returning = asyncio.create_task(self._return_ready())
        self._watch_ready()

    async def _return_ready(self) -> None:
        jobs, self._ready = list(self._ready), deque()
        await self._queue.hand_back(jobs)

    def _room(self) -> int:
        """How many jobs to claim now; ahead only once half of `prefetch` is used up, and not where
        the next outcome will bring them."""
        ahead = self.prefetch - len(self._ready) if self._is_backlog else 0
        if not self._slots and (ahead * 2 < self.prefetch or self._may_turn()):
            return 0
        return len(self._slots) + max(ahead, 0)

    async def _claim_forever(self) -> None:
        loop, failures = asyncio.get_running_loop(), 0
        await self._warm_up()
        while True:
            await self._has_room.wait()
            # Jobs claimed without a live lease would be rescued at once.
            await self.lease.wait_until_alive()
            self._turned_at = loop.time()
            room = 0 if self._is_paused else self._room()
            if not room:
                self._has_room.clear()
                continue
            self._woken.clear()
            self._order.paused = self.lease.paused
            if not self._order.names:
                self._is_waiting = False
                await self._wait_until_woken(self._poll_seconds)
                continue
            try:
                async with self._claiming:
                    if not (room := self._room()):  # a turn has brought jobs meanwhile
                        continue
                    claimed, found = await self._claim(room)
                if self._is_paused:
                    await self._queue.hand_back(claimed)
                    continue
                if failures:
                    log.info("claiming again")
                failures = 0
                # After two full claims in a row, CLAIM has cleared `is_waiting` in the table.
                self._is_waiting = self._is_waiting and not self._is_backlog
                self._is_backlog = found == room
                if self._is_waiting and self._is_backlog:
                    self._pass_on()
                self._deliver(claimed)
                if not self._is_backlog and self._claims.has_gone_on:
                    continue  # it has not looked at all jobs
                if not self._is_backlog:
                    await self._wait_for_due_job(await self._promote())
                elif loop.time() - self._promoted_at > PROMOTE_SECONDS:
                    self._promote_at = 0.0  # a worker that does not wait is not notified
                    await self._promote()
            except asyncpg.UniqueViolationError:
                pass  # another worker has just started a job of the same group
            except Exception as error:  # whatever it is, this loop has to go on
                failures += 1
                self._promote_at = 0.0
                self.asked_to_abort.set()  # the answer may be lost: `jobs_to_stop` looks
                _log_failure("cannot claim jobs", error, failures)
                await asyncio.sleep(backoff(failures))

    def _pass_on(self) -> None:
        """Wake another worker, because this one takes no more jobs now."""

        async def pass_on() -> None:
            with contextlib.suppress(*UNAVAILABLE):  # else the others poll
                await self._queue.fetch(sql.WAKE_ANOTHER, self._queue.owner, self._queue.names)

        if self._passing is None or self._passing.done():
            self._is_waiting = False
            self._passing = asyncio.create_task(pass_on(), name="pass on")

    def _may_turn(self) -> bool:
        return (
            self.prefetch > 0  # else nothing is claimed ahead
            and not self._is_paused
            and self._is_backlog
            and self.lease.is_fresh
            and self._claims.may_go_on(self._order.names)
        )

    async def turn(self, outcomes: tuple[Any, ...], count: int, /) -> set[str] | None:
        """Write outcomes, and claim jobs for the slots that they leave, while there is a backlog.

        None, with nothing written, where nothing is claimed now.
        """
        self._order.paused = self.lease.paused
        if not count or not self._may_turn() or self._claiming.locked():
            return None
        async with self._claiming:
            if not self._may_turn():  # somebody else may have had the lock before
                return None
            # all that may be claimed ahead, so that no claim is needed between the turns
            room = len(self._slots) + max(self.prefetch - len(self._ready), 0)
            if not room:
                return None
            try:
                held, claimed, found = await self._claims.turn(
                    outcomes, room, skipped=self._skipped(), starts=bool(self._slots)
                )
            except (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError):
                return None  # a group that another worker is about to start
            except UNAVAILABLE:
                raise
            except asyncpg.PostgresError:
                return None  # the one or the other was refused; each by itself says which
        self._is_backlog = found == room
        if self._is_paused:
            self._ready.extend(claimed)
            self._returning = asyncio.create_task(self._return_ready())
        else:
            self._deliver(claimed)
        return held

    async def _claim(self, room: int) -> tuple[list[LeasedJob], int]:
        return await self._claims.take(
            self._order,
            room,
            skipped=self._skipped(),
            is_backlog=self._is_backlog,
            starts=bool(self._slots),
        )

    def _skipped(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        return [task for task, until in self._skipped_tasks.items() if until > now]

    async def _promote(self) -> float | None:
        """Make due delayed jobs claimable. Returns the seconds until the next one is due."""
        now = asyncio.get_running_loop().time()
        if now < self._promote_at:
            return None if self._due_at is None else self._due_at - now
        # every second poll looks for jobs that nobody has told us of
        self._promoted_at, self._promote_at = now, now + 1.5 * self._poll_seconds
        self._due_at = None
        (row,) = await self._queue.fetch(sql.PROMOTE, self._order.names)
        due_in: float | None = 0.0 if row["moved"] else row["seconds"]
        if due_in is not None:
            self._due_at = now + due_in
            self._promote_at = min(self._promote_at, self._due_at)
        return due_in

    async def _wait_for_due_job(self, due_in: float | None) -> None:
        """Wait for a notification, the next due time, or the next poll."""
        if due_in == 0.0:
            return
        seconds = self._poll_seconds * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        if not self._is_waiting:
            self._is_waiting, self._promote_at, seconds = True, 0.0, CLAIM_AGAIN_SECONDS
        if due_in is not None:
            seconds = min(seconds, max(due_in, 0.001))
        await self._wait_until_woken(seconds)

    async def _wait_until_woken(self, seconds: float) -> None:
        self.is_idle.set()
        try:
            async with asyncio.timeout(seconds):
                await self._woken.wait()
        except TimeoutError:
            pass
        finally:
            self.is_idle.clear()


def _is_no_suspect(job: LeasedJob) -> bool:
    return job.crashes < sql.SUSPECT_CRASHES


def _log_failure(what: str, error: Exception, failures: int) -> None:
    """Log an outage of the database once, and any other error each time."""
    if not isinstance(error, UNAVAILABLE):
        log.error(what, failures=failures, exc_info=error)
    elif failures == 1:
        log.warning(what, error=type(error).__name__)
