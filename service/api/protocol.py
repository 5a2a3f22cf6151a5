"""uvicorn's HTTP with the limits it lacks: on the size of a head and the time of an arrival."""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_MAX_BYTES = 64 * 1024  # what the load balancer lets through too
ARRIVAL_SECONDS = 30.0  # from the first byte to the last of the body


class BoundedProtocol(HttpToolsProtocol):
    """Closes connections that send a head without end, or nothing, or a byte now and then.

    Without it one client could fill the memory, and a few could hold all connections for ever.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._is_in_head = True
        self._head_bytes = 0
        self._arrival: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._expect_request()

    def data_received(self, data: bytes) -> None:
        if self._arrival is None:
            self._expect_request()
        if self._is_in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        # Afterwards, as what came may have held the end of the head and much of the body.
        if self._is_in_head and self._head_bytes > HEAD_MAX_BYTES:
            self.send_400_response("The request's head is too large.")

    def on_headers_complete(self) -> None:
        self._is_in_head = False
        self._head_bytes = 0
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._is_in_head = True
        self._stop_waiting()
        super().on_message_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_request(self) -> None:
        self._arrival = asyncio.get_running_loop().call_later(ARRIVAL_SECONDS, self.transport.close)

    def _stop_waiting(self) -> None:
        if self._arrival is not None:
            self._arrival.cancel()
            self._arrival = None
