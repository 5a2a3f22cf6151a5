"""One request of a connection, until the end of its answer.

It overrides private parts of uvicorn, as `protocol.py` does.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any

from uvicorn._types import ASGIReceiveEvent
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

PIECE_BYTES = 128 * 1024


class Flow(FlowControl):
    """Pauses reading while a pipelined request waits; uvicorn itself resumes after each answer."""

    def __init__(self, transport: asyncio.Transport, waiting: "deque[Any]") -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        if not self._waiting:
            super().resume_reading()


class Cycle(RequestResponseCycle):
    """A request, with the bytes that it holds in memory until it is answered."""

    head_bytes: int
    on_read: Callable[[], None]

    @property
    def held_bytes(self) -> int:
        return self.head_bytes + len(self.body)

    async def receive(self) -> ASGIReceiveEvent:
        message = await super().receive()
        self.on_read()
        return message


class Answering:
    """The transport that a request's cycle gets. Its `close` is `end`, which may close later."""

    def __init__(self, transport: asyncio.Transport, end: Callable[[], None]) -> None:
        self._transport = transport
        self.close = end
        self.is_closing = transport.is_closing

    def write(self, data: bytes) -> None:
        # In pieces, because asyncio keeps a buffer whole until all of it is sent.
        if len(data) <= PIECE_BYTES:
            self._transport.write(data)
        else:
            for start in range(0, len(data), PIECE_BYTES):
                self._transport.write(data[start : start + PIECE_BYTES])


def origin_form(target: bytes, headers: list[tuple[bytes, bytes]]) -> bytes | None:
    """Path and query of a request's target (RFC 9112, 3.2); None for a target of another host."""
    if target.startswith(b"/"):
        return target
    if target == b"*":
        return b"/*"
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return None
    ends = [rest.index(mark) for mark in (b"/", b"?") if mark in rest]
    end = min(ends, default=len(rest))
    hosts = [value.lower() for name, value in headers if name == b"host"]
    if hosts != [rest[:end].lower()]:
        return None
    path = rest[end:]
    return path if path.startswith(b"/") else b"/" + path
