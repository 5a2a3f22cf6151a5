"""Many callers, one statement: calls made while a statement is in flight share the next one."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

import asyncpg

from service.db import UNAVAILABLE

LOCKED_MAX = 2  # after so many items that wait for a lock in vain, the whole table is locked
LANE_ITEMS = 32  # with fewer waiting at an answer, those of the callers that go on come along
SLOW_SECONDS = 0.002  # a statement in flight for so long waits for the network, a disk or a lock

T = TypeVar("T")
R = TypeVar("R")


class Reply(Protocol):
    """Where the result of an item goes: a future, or what calls back without one."""

    def done(self) -> bool: ...

    def set_result(self, result: Any, /) -> None: ...

    def set_exception(self, error: Exception, /) -> None: ...

    def cancel(self) -> object: ...


class Batch(Generic[T, R]):
    """Runs `statement(items)` with all items that arrived since the last statement was sent.

    An idle batch sends at once, so it adds no delay; under load each commit carries many items. A
    call returns after the commit of its item, with that item's result. `lanes` is the most
    statements in flight at once: another one starts beside one that is slow; and where many items
    wait at an answer, so that the server works while the callers of the first go on.
    """

    def __init__(
        self,
        statement: Callable[[list[T]], Awaitable[list[R]]],
        *,
        max_items: int = 500,
        lanes: int = 1,
        slow_seconds: float = SLOW_SECONDS,
    ) -> None:
        self._statement = statement
        self._max_items = max_items
        self._waiting: list[tuple[T, Reply]] = []
        self._lanes = lanes
        self._slow_seconds = slow_seconds
        self._senders: set[asyncio.Task[None]] = set()
        self._later: asyncio.TimerHandle | None = None
        self._sent_at = 0.0  # `time.monotonic()` of the last statement

    async def __call__(self, item: T) -> R:
        future: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        self.send(item, future)
        return await future

    def send(self, item: T, reply: Reply) -> None:
        """The same without waiting: `reply` gets the result of the item, or the error."""
        self._waiting.append((item, reply))
        if not self._senders or time.monotonic() - self._sent_at > self._slow_seconds:
            self._start()
        elif self._later is None and len(self._senders) < self._lanes:
            # nothing may be sent after this item that would find the statement slow
            loop = asyncio.get_running_loop()
            self._later = loop.call_later(self._slow_seconds, self._look_again)

    def _look_again(self) -> None:
        """Start another sender beside a statement that is slow, for the items that wait for it."""
        self._later = None
        if not self._waiting:
            return
        left = self._slow_seconds - (time.monotonic() - self._sent_at)
        if left <= 0:
            self._start()
        elif len(self._senders) < self._lanes:
            self._later = asyncio.get_running_loop().call_later(left, self._look_again)

    def _start(self) -> bool:
        """Start another sender, if there is a lane for it."""
        is_free = len(self._senders) < self._lanes
        if is_free:
            self._senders.add(asyncio.create_task(self._send()))
        return is_free

    async def _send(self) -> None:
        try:
            while self._waiting:
                batch = self._waiting[: self._max_items]
                del self._waiting[: self._max_items]
                await self._send_one(batch)
                await asyncio.sleep(0)  # those who have got a result may send the next item at once
        finally:  # without an await before it: a call in between would wait for this sender
            sender = asyncio.current_task()
            assert sender is not None
            self._senders.discard(sender)

    async def _send_one(self, batch: list[tuple[T, Reply]]) -> Exception | None:
        self._sent_at = time.monotonic()
        try:
            results = await self._statement([item for item, _ in batch])
        except asyncio.CancelledError:
            for _, reply in batch:
                reply.cancel()
            raise
        except Exception as error:
            if len(batch) > 1 and _is_fault_of_an_item(error):
                await self._send_singly(batch)
            else:
                _fail(batch, error)
            return error
        if len(self._waiting) >= LANE_ITEMS and self._start():
            await asyncio.sleep(0)  # until it is sent
        for (_, reply), result in zip(batch, results, strict=True):
            if not reply.done():  # its caller was cancelled meanwhile
                reply.set_result(result)
        return None

    async def _send_singly(self, batch: list[tuple[T, Reply]]) -> None:
        """Send each item by itself, because one of them has failed the statement for all."""
        locked = 0
        for place, pair in enumerate(batch, start=1):
            error = await self._send_one([pair])
            locked += isinstance(error, asyncpg.LockNotAvailableError)
            is_away = isinstance(error, UNAVAILABLE) and not _is_fault_of_an_item(error)
            if error is not None and (is_away or locked == LOCKED_MAX):
                _fail(batch[place:], error)
                break


def _fail(batch: list[tuple[Any, Reply]], error: Exception) -> None:
    for _, reply in batch:
        if not reply.done():
            reply.set_exception(error)


def _is_fault_of_an_item(error: Exception) -> bool:
    """Did the statement change nothing, perhaps because of one of its items only?

    After a lost connection it is not known what was committed, so nothing is sent again here.
    """
    # another client's open transaction may hold one row
    return isinstance(error, asyncpg.LockNotAvailableError) or not isinstance(error, UNAVAILABLE)
