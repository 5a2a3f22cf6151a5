"""A TCP proxy before Postgres: it adds delay, and counts what clients ask."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

CHUNK_BYTES = 256 * 1024
ENCRYPTION = (80877103, 80877104)  # asked for first; the real start follows the answer


@dataclass
class Asked:
    """What clients sent, as Postgres's protocol has it."""

    statements: int = 0  # run, the ones of a transaction's begin and end included
    turns: int = 0  # messages that a client waits for an answer to: round trips


@dataclass
class _Reader:
    """Cuts one client's bytes into messages."""

    asked: Asked
    rest: bytearray = field(default_factory=bytearray)
    has_started: bool = False

    def feed(self, data: bytes) -> None:
        rest = self.rest
        rest += data
        while len(rest) >= 5:
            kind = rest[0] if self.has_started else 0
            size = int.from_bytes(rest[1:5] if self.has_started else rest[:4])
            if len(rest) < size + self.has_started:
                return
            if not self.has_started:
                self.has_started = int.from_bytes(rest[4:8]) not in ENCRYPTION
            elif kind == ord("Q"):
                self.asked.statements += 1
                self.asked.turns += 1
            elif kind == ord("E"):
                self.asked.statements += 1
            elif kind in (ord("S"), ord("H")):
                self.asked.turns += 1
            del rest[: size + (1 if kind else 0)]


@dataclass
class Proxy:
    """A running proxy; connect to `port` instead of the server's."""

    server_port: int
    delay_seconds: float = 0.0
    asked: Asked = field(default_factory=Asked)
    port: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self.server_port)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._to_server(reader, server_writer))
                tasks.create_task(self._to_client(server_reader, writer))
        except* OSError:
            pass  # either end may go away

    async def _to_server(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        messages = _Reader(self.asked)
        while data := await reader.read(CHUNK_BYTES):
            messages.feed(data)
            writer.write(data)
            await writer.drain()
        writer.close()

    async def _to_client(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # The whole delay lies on the way back. What is under way does not hold up what follows.
        loop = asyncio.get_running_loop()
        while data := await reader.read(CHUNK_BYTES):
            if self.delay_seconds:
                loop.call_later(self.delay_seconds, writer.write, data)
            else:
                writer.write(data)
                await writer.drain()
        loop.call_later(self.delay_seconds, writer.close)


@asynccontextmanager
async def proxy_to(server_port: int, delay_seconds: float = 0.0) -> AsyncIterator[Proxy]:
    """A proxy on a port of its own, for as long as the block runs."""
    proxy = Proxy(server_port, delay_seconds)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.port = server.sockets[0].getsockname()[1]
    try:
        yield proxy
    finally:
        server.close()
