"""Limits the bytes of all bodies being worked on; a request over it waits, then gets 503."""

import asyncio
from collections import deque

from litestar.enums import ScopeType
from litestar.exceptions import ServiceUnavailableException
from litestar.types import (
    ASGIApp,
    HTTPReceiveMessage,
    HTTPScope,
    Receive,
    Scope,
    Send,
    WebSocketReceiveMessage,
)

from service.contract import BODY_MAX_BYTES
from service.contract import JOB_BODY_MAX_BYTES as LARGEST
from service.problem import problem, send_response

# A body takes several times its size while it is read, checked and stored. Small ones, up to
# BODY_MAX_BYTES, have a limit of their own, so that a few slow uploads do not block them.
SMALL_IN_WORK_BYTES = 64 * BODY_MAX_BYTES
LARGE_IN_WORK_BYTES = 2 * LARGEST
WAIT_SECONDS = 5.0
RETRY_AFTER = {"Retry-After": "5"}
DETAIL = "Other large requests are being worked on. Try again in a few seconds."


class Room:
    """A number of bytes, given out in the order of the requests."""

    def __init__(self, size: int) -> None:
        self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    async def enter(self, size: int) -> None:
        """Take `size` bytes. Raises `TimeoutError` without room within `WAIT_SECONDS`."""
        if not self._waiting and size <= self.free:
            self.free -= size
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append((size, turn))
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                await turn
        except BaseException:
            if not turn.cancelled():  # it got its room at the same moment
                self.leave(size)
            raise

    def leave(self, size: int) -> None:
        self.free += size
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= self.free):
            size, turn = self._waiting.popleft()
            if not turn.done():  # done: it has given up waiting
                self.free -= size
                turn.set_result(None)


class Admission:
    """Passes a request on when there is room for its body; until then the body is not read."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self._small = Room(SMALL_IN_WORK_BYTES)
        self._large = Room(LARGE_IN_WORK_BYTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == ScopeType.HTTP and 0 < (size := _body_bytes(scope)) <= LARGEST:
            await self._admit(size, scope, receive, send)
        else:  # Litestar answers 413 to a larger one before it is read
            await self.app(scope, receive, send)

    async def _admit(self, size: int, scope: HTTPScope, receive: Receive, send: Send) -> None:
        taken: list[tuple[Room, int]] = []
        received = 0

        async def take(size: int) -> None:
            room = self._small if size <= BODY_MAX_BYTES else self._large
            await room.enter(size)
            taken.append((room, size))

        async def counted() -> HTTPReceiveMessage | WebSocketReceiveMessage:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message["body"])
                if received > size and len(taken) == 1:  # a body in chunks, larger than assumed
                    try:
                        await take(LARGEST)
                    except TimeoutError:
                        raise ServiceUnavailableException(DETAIL, headers=RETRY_AFTER) from None
            return message

        try:
            await take(size)
            await self.app(scope, counted, send)
        except TimeoutError:
            if taken:
                raise
            answer = problem(scope["path"], 503, DETAIL, headers=RETRY_AFTER)
            await send_response(answer, scope, receive, send)
        finally:
            # The state holds the body, and the connection keeps the state until its next request.
            scope["state"].clear()
            for room, given in taken:
                room.leave(given)


def _body_bytes(scope: HTTPScope) -> int:
    """The body's size by its headers. A body in chunks has none there, and counts as small."""
    for name, value in scope["headers"]:
        if name == b"content-length":
            return int(value)
        if name == b"transfer-encoding":
            return BODY_MAX_BYTES
    return 0
