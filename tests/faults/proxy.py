"""A TCP proxy in front of Postgres that plays the network's faults, each on request."""

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass, field

CHUNK_BYTES = 65536


@dataclass(eq=False)
class _Link:
    """One client's connection and its counterpart at the server."""

    client: asyncio.StreamWriter
    server: asyncio.StreamWriter | None = None
    moving: asyncio.Event = field(default_factory=asyncio.Event)

    def reset(self) -> None:
        """Close both ends with RST, as a firewall or a dying machine does."""
        for writer in (self.client, self.server):
            if writer is not None:
                with contextlib.suppress(OSError):
                    raw: socket.socket = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                writer.transport.abort()
        self.moving.set()


class Proxy:
    """Listens on a port of its own and passes bytes to `upstream`, until told otherwise."""

    def __init__(self, upstream: tuple[str, int] | str) -> None:  # or the path of a Unix socket
        self.upstream = upstream
        self.delay_seconds = 0.0  # for each piece of data, in each direction
        self.is_silent = False  # new connections are accepted and hear nothing
        self._budget: int | None = None  # bytes before everything is reset
        self._word: bytes | None = None  # what has it in it does not pass
        self._links: set[_Link] = set()
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=500)

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        while self._links:
            await asyncio.sleep(0.01)
        await self._server.wait_closed()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    @property
    def connections(self) -> int:
        return len(self._links)

    def freeze(self) -> int:
        """Connections that exist go half-open: they stay, and nothing passes. How many."""
        for link in self._links:
            link.moving.clear()
        return len(self._links)

    def freeze_at(self, word: bytes) -> None:
        """A connection goes half-open before the first piece of data that has `word` in it."""
        self._word = word

    def black_hole(self) -> None:
        """Nothing passes any more, on old connections and new ones, and nobody is told."""
        self.is_silent = True
        self.freeze()

    def reset(self) -> None:
        """End every connection with RST; new ones are fine."""
        for link in list(self._links):
            link.reset()

    def reset_after(self, size: int) -> None:
        """Let `size` more bytes pass, all connections together, then reset every connection."""
        self._budget = size

    def heal(self) -> None:
        """Pass again; what was frozen goes on where it stopped."""
        self.is_silent, self.delay_seconds, self._budget, self._word = False, 0.0, None, None
        for link in self._links:
            link.moving.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        link = _Link(writer)
        self._links.add(link)
        if not self.is_silent:
            link.moving.set()
        try:
            await link.moving.wait()
            if writer.is_closing():
                return
            back, link.server = await self._connect()
            pumps = [
                asyncio.ensure_future(self._pump(link, reader, link.server)),
                asyncio.ensure_future(self._pump(link, back, writer)),
            ]
            _, still = await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in still:
                pump.cancel()
            await asyncio.wait(pumps)
        except OSError:  # nobody listens upstream, so nobody does here
            pass
        finally:
            link.reset()
            self._links.discard(link)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _pump(
        self, link: _Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(CHUNK_BYTES):
                if self.delay_seconds:
                    await asyncio.sleep(self.delay_seconds)
                if self._word is not None and self._word in data:
                    link.moving.clear()
                await link.moving.wait()
                if self._budget is not None:
                    data, self._budget = data[: self._budget], self._budget - len(data)
                writer.write(data)
                if self._budget is not None and self._budget <= 0:
                    self._budget = None
                    self.reset()
                    return
                await writer.drain()
