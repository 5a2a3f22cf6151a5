"""The worker's side of an SQS queue: receives messages, and hides those of running jobs."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from service.aws import Message, Messages
from service.db import UNAVAILABLE, backoff
from service.queue.job import LeasedJob
from service.queue.postgres.lease import Lease
from service.queue.postgres.postgres_consumer import PostgresConsumer
from service.queue.sqs.threads import in_thread
from service.queue.tables.table_queue import TableQueue

HIDDEN_SECONDS = 30  # another worker receives a message so long after it was last hidden
KEEP_SECONDS = 10.0
PAUSED_SECONDS = 1.0  # until a paused queue is looked at again
WAIT_MAX_SECONDS = 20  # SQS's limit for a long poll

log = structlog.stdlib.get_logger("queue")


class SqsConsumer(PostgresConsumer):
    """Receives messages for free slots, hides those of running jobs, and sends unsent ones."""

    def __init__(
        self,
        queue: TableQueue,
        lease: Lease,
        messages: Messages,
        *,
        is_fifo: bool,
        start: Callable[[list[Message]], Awaitable[list[tuple[LeasedJob, str]]]],
        send_unsent: Callable[[], Awaitable[int]],
        poll_seconds: float,
        **callbacks: Any,
    ) -> None:
        super().__init__(queue, lease, poll_seconds=poll_seconds, **callbacks)
        self.receipts: dict[str, str] = {}  # of the running jobs' messages, by job key
        self._messages = messages
        self._is_fifo = is_fifo
        self._start_jobs = start
        self._send_unsent = send_unsent
        self._wait_seconds = max(1, min(round(poll_seconds), WAIT_MAX_SECONDS))
        self._others: list[asyncio.Task[None]] = []

    def _start(self) -> None:
        super()._start()
        self._others = [
            asyncio.create_task(self._send_forever(), name="queue send"),
            asyncio.create_task(self._keep_forever(), name="queue keep"),
        ]

    async def stop(self) -> None:
        self.is_idle.clear()
        for task in self._others:
            task.cancel()
        await super().stop()
        self._others = []

    def is_live(self) -> bool:
        return super().is_live() and not any(task.done() for task in self._others)

    async def _claim_forever(self) -> None:
        failures = 0
        while True:
            await self._has_room.wait()
            await self.lease.wait_until_alive()
            self._turned_at = asyncio.get_running_loop().time()
            room = 0 if self._is_paused else len(self._slots)
            if not room:
                self._has_room.clear()
                continue
            if self._queue.name in self.lease.paused:
                self.is_idle.set()
                await asyncio.sleep(PAUSED_SECONDS)
                continue
            try:
                messages = await self._receive(room)
                if messages:
                    self.is_idle.clear()
                else:
                    self.is_idle.set()
                if self._is_paused or self._queue.name in self.lease.paused:
                    await self._give_back(messages)
                elif messages:
                    await self._hold(messages)
                failures = 0
            except Exception as error:  # whatever it is, this loop has to go on
                failures += 1
                if not isinstance(error, UNAVAILABLE):
                    log.error("cannot receive jobs", failures=failures, exc_info=error)
                elif failures == 1:
                    log.warning("cannot receive jobs", error=f"{type(error).__name__}: {error}")
                await asyncio.sleep(backoff(failures))

    async def _receive(self, room: int) -> list[Message]:
        messages = self._messages

        # A FIFO queue may return several jobs of one group, of which only one may run.
        count = 1 if self._is_fifo else room

        def receive() -> list[Message]:
            return messages.receive(
                count, wait_seconds=self._wait_seconds, hidden_seconds=HIDDEN_SECONDS
            )

        def on_unwanted(found: list[Message]) -> None:
            if found:
                messages.hide([each.receipt for each in found], 0)

        return await in_thread(receive, on_unwanted=on_unwanted)

    async def _hold(self, messages: list[Message]) -> None:
        async with self._claiming:
            started = await self._start_jobs(messages)
            now = asyncio.get_running_loop().time()
            for job, receipt in started:
                job.claimed_at = now
                self.held[job.key] = job
                self.receipts[job.key] = receipt
        jobs = [job for job, _ in started]
        if self._is_paused:
            await self._queue.hand_back(jobs)
        else:
            self._deliver(jobs)

    async def _give_back(self, messages: list[Message]) -> None:
        if messages:
            receipts = [each.receipt for each in messages]
            await in_thread(self._messages.hide, receipts, 0)

    async def _send_forever(self) -> None:
        failures = 0
        while True:
            try:
                while await self._send_unsent():
                    pass
                failures = 0
            except Exception as error:
                failures += 1
                if failures == 1:
                    log.warning("cannot send", error=f"{type(error).__name__}: {error}"[:300])
            self._woken.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_seconds):
                    await self._woken.wait()

    async def _keep_forever(self) -> None:
        """Keep the messages of the running jobs hidden from other workers."""
        while True:
            await asyncio.sleep(KEEP_SECONDS)
            receipts = list(self.receipts.values())
            for start in range(0, len(receipts), Messages.BATCH):
                part = receipts[start : start + Messages.BATCH]
                try:
                    await in_thread(self._messages.hide, part, HIDDEN_SECONDS)
                except Exception as error:
                    log.warning("cannot keep messages hidden", error=type(error).__name__)
