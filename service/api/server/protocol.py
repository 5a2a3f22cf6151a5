"""uvicorn's HTTP protocol, with limits on the memory and time that a client can take.

It overrides private parts of uvicorn; docs/private-parts.md lists them.
"""

import asyncio
from collections import deque
from typing import Any, NoReturn, cast

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.api.server.cycle import Answering, Cycle, Flow, origin_form
from service.api.server.load import Load
from service.contract import LIVE_PATH
from service.problem import MEDIA_TYPE, PHRASES, Problem

# The most bytes of a head, and of chunk sizes and trailers between two pieces of a body. The load
# balancer allows a head of this size too.
HEAD_MAX_BYTES = 64 * 1024
HEADERS_MAX = 100  # each takes some hundred bytes of memory, whatever its size
WAITING_MAX = 100  # pipelined requests of one connection that wait for their answers
REQUEST_BYTES = 4096  # the memory of a request beside its own bytes
SLICE_BYTES = 16 * 1024  # the limits are checked after so many bytes
ARRIVAL_SECONDS = 30.0  # from the first byte of a request to the last one of its body
# The most that is still read of a request after its answer: a close while the client sends resets
# the connection, and the answer is lost.
LEFTOVER_MAX_BYTES = 10 * 1024 * 1024
# A client that reads less than so many bytes of its answer in so many seconds is disconnected.
STALLED_BYTES, STALLED_SECONDS = 64 * 1024, 30.0
MAX_CONNECTIONS = 1000
# More of them are accepted while no connection is idle, for the load balancer's health checks.
SPARE_CONNECTIONS = 20
VERSIONS = {"1.0", "1.1"}
LIVE = LIVE_PATH.encode()


class RefusedError(Exception):
    """The request is refused with this answer, and the connection closes."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that fill the memory or stay open without use.

    Such as: an endless head, trailer or chunk extension; a hundred requests whose answers are not
    read; a request of a byte now and then; an answer that the client does not read. When all
    connections together hold too much, the next large request gets 503. When there are too many
    connections, the longest idle one is closed.
    """

    def __init__(self, *args: Any, load: Load, **options: Any) -> None:
        super().__init__(*args, **options)
        self.is_ending = False
        self._load = load
        self._is_in_head = True
        self._refusal: RefusedError | None = None
        self._overhead_bytes = 0
        self._leftover_bytes = 0
        self._held_bytes = 0
        self._unsent_bytes = 0
        self._cycles: deque[Cycle] = deque()  # in the order of their answers
        self._arrival: asyncio.TimerHandle | None = None
        self._stalled: asyncio.TimerHandle | None = None
        self._ending: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        if len(self.connections) > MAX_CONNECTIONS:
            if self._load.idle:
                self._load.end_idlest()
            elif len(self.connections) > MAX_CONNECTIONS + SPARE_CONNECTIONS:
                transport.abort()
                return
        self._load.idle[self] = None
        self._expect_request()

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.idle.pop(self, None)
        self._cycles.clear()
        self._overhead_bytes = 0
        self.weigh()
        self._count_unsent(0)
        self._stop_waiting()
        for timer in (self._stalled, self._ending):
            if timer is not None:
                timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._arrival is None and not self.is_ending:
            self._expect_request()
        for start in range(0, len(data), SLICE_BYTES):
            piece = data if len(data) <= SLICE_BYTES else data[start : start + SLICE_BYTES]
            if self.is_ending:
                self._drop(len(piece))
            if self.is_ending or self.transport.is_closing():
                continue
            self._overhead_bytes += len(piece)
            super().data_received(piece)
            self.weigh()
            self._check()

    def _check(self) -> None:
        if self.is_ending or self.transport.is_closing():
            return
        if self._overhead_bytes > HEAD_MAX_BYTES:
            if self._is_in_head:
                self._refuse(431, "The request's head is too large.")
            else:
                self._refuse(400, "The request's chunk extensions or trailers are too large.")
        elif not self._load.may_hold(self._held_bytes):
            self._refuse(503, "Too much is arriving at once. Try again in a few seconds.")

    def weigh(self) -> None:
        """Update the bytes that this connection holds of requests."""
        held = sum(each.held_bytes for each in self._cycles)
        if self._is_in_head:
            held += self._overhead_bytes
        self._load.held_bytes += held - self._held_bytes
        self._held_bytes = held

    def on_message_begin(self) -> None:
        self._is_in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._is_in_head:
            return  # a trailer must not change framing, routing or authentication (RFC 9110, 6.5.1)
        if len(self.headers) >= HEADERS_MAX:
            self._give_up(431, f"A request may have {HEADERS_MAX} headers.")
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= WAITING_MAX:
            self._give_up(400, f"More than {WAITING_MAX} requests wait for their answers.")
        self._is_in_head = False
        head, self._overhead_bytes = self._overhead_bytes, 0
        if self.parser.get_http_version() not in VERSIONS:
            self._give_up(505, "Send the request as HTTP/1.1.")
        if (url := origin_form(self.url, self.headers)) is None:
            self._give_up(400, "The request's target is no path, and no address of this host.")
        self.url = url
        is_live = url.partition(b"?")[0] == LIVE
        # Always answered, because ECS replaces an ECS task that does not answer it.
        self.limit_concurrency = None if is_live else self.config.limit_concurrency
        super().on_headers_complete()
        self._load.idle.pop(self, None)
        self.cycle.__class__ = Cycle
        cycle = cast("Cycle", self.cycle)
        cycle.on_read = self.weigh
        cycle.head_bytes = min(head, HEAD_MAX_BYTES) + REQUEST_BYTES
        answering = Answering(self.transport, lambda: self.end(lingers=cycle.more_body))
        cycle.transport = cast("asyncio.Transport", answering)
        # After an answer other than "100 Continue" the client may or may not send the body, so the
        # connection cannot be used again.
        cycle.keep_alive = cycle.keep_alive and not self.expect_100_continue
        self._cycles.append(cycle)

    def on_body(self, body: bytes) -> None:
        self._overhead_bytes = 0
        if self.cycle.response_complete:
            self._drop(len(body))
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._overhead_bytes = 0
        self._leftover_bytes = 0
        self._stop_waiting()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        if self._cycles:
            self._cycles.popleft().body.clear()
            self.weigh()
        if self.is_ending:
            return
        super().on_response_complete()
        if not self.pipeline:
            self._load.idle[self] = None

    def pause_writing(self) -> None:
        super().pause_writing()
        self._count_unsent(self.transport.get_write_buffer_size())
        if self._load.may_send:
            self._watch_sending()
        else:
            self.transport.abort()

    def resume_writing(self) -> None:
        if self._stalled is not None:
            self._stalled.cancel()
        self._count_unsent(0)
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self.end()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn when its parser, or one of the methods above, raises."""
        refusal = self._refusal or RefusedError(400, msg)
        self._refuse(refusal.status, refusal.detail)

    def end(self, *, lingers: bool = False) -> None:
        """Close the connection, with `lingers` only once the client has sent the rest.

        A close while the client sends resets the connection, and the answer is lost.
        """
        if self.is_ending or self.transport.is_closing():
            return
        self.is_ending = True
        self._stop_waiting()
        if lingers:
            self.transport.write_eof()
            self.flow.resume_reading()
            self._load.idle[self] = None  # it may be closed to make room for another one
        else:
            self._load.idle.pop(self, None)
            self.transport.close()
        # A closed transport still sends its buffer, which the client may never read.
        loop = asyncio.get_running_loop()
        self._ending = loop.call_later(ARRIVAL_SECONDS, self.transport.abort)

    def _give_up(self, status: int, detail: str) -> NoReturn:
        self._refusal = RefusedError(status, detail)
        raise self._refusal

    def _refuse(self, status: int, detail: str) -> None:
        if len(self._cycles) == 1 and not self._cycles[0].response_started:
            self._cycles[0].disconnected = True  # drops its own answer
            self._cycles.pop().message_event.set()
        if self._cycles:  # another answer is under way, and a refusal would be sent in its middle
            self.end()
            return
        problem = Problem(type="about:blank", title=PHRASES[status], status=status, detail=detail)
        body = msgspec.json.encode(problem)
        lines = [
            f"content-type: {MEDIA_TYPE}",
            f"content-length: {len(body)}",
            "connection: close",
            *(["retry-after: 5"] if status == 503 else []),
        ]
        self.transport.write(
            STATUS_LINE[status] + "\r\n".join([*lines, "", ""]).encode("ascii") + body
        )
        self.end(lingers=True)

    def _drop(self, size: int) -> None:
        self._leftover_bytes += size
        if self._leftover_bytes > LEFTOVER_MAX_BYTES:
            self.transport.abort()

    def _count_unsent(self, size: int) -> None:
        self._load.unsent_bytes += size - self._unsent_bytes
        self._unsent_bytes = size

    def _watch_sending(self) -> None:
        left = self.transport.get_write_buffer_size()

        def check() -> None:
            if self.transport.get_write_buffer_size() > left - STALLED_BYTES:
                self.transport.abort()
            else:
                self._watch_sending()

        loop = asyncio.get_running_loop()
        self._stalled = loop.call_later(STALLED_SECONDS, check)

    def _expect_request(self) -> None:
        self._arrival = asyncio.get_running_loop().call_later(ARRIVAL_SECONDS, self.end)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
