"""Transaction pooling as in PgBouncer: a server connection for each transaction."""

import asyncio
import contextlib
import struct
from urllib.parse import parse_qs, urlsplit

Message = tuple[bytes, bytes]  # its kind, and its length and body
Writer = asyncio.StreamWriter


class Pooler:
    """On a port of its own; `size` connections to the server of `dsn`, which trusts everybody."""

    def __init__(self, dsn: str, size: int = 2) -> None:
        parts = urlsplit(dsn)
        self._socket = parse_qs(parts.query)["host"][0] + "/.s.PGSQL.5432"
        self._name = parts.path[1:]
        self._size = size
        self._idle: asyncio.LifoQueue[tuple[asyncio.StreamReader, asyncio.StreamWriter]]
        self._writers: list[asyncio.StreamWriter] = []
        self._serving = 0
        self._greeting = b""
        self.dsn = ""

    async def __aenter__(self) -> "Pooler":
        self._idle = asyncio.LifoQueue()
        for _ in range(self._size):
            self._idle.put_nowait(await self._connect())
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.dsn = f"postgresql://postgres@127.0.0.1:{port}/{self._name}?sslmode=disable"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        await asyncio.sleep(0.05)  # in which those that were just let in begin
        for writer in self._writers:
            writer.transport.abort()
        while self._serving:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)  # the transports' last turn

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_unix_connection(self._socket)
        self._writers.append(writer)
        words = f"user\0postgres\0database\0{self._name}\0\0".encode()
        writer.write(struct.pack("!ii", 8 + len(words), 196608) + words)
        self._greeting = b""
        while True:
            kind, body = await _message(reader)
            if kind == b"K":  # the client is given a key that is not the server's
                body = struct.pack("!iii", 12, 4711, 4711)
            self._greeting += kind + body
            if kind == b"Z":
                return reader, writer

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._serving += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            (length,) = struct.unpack("!i", await reader.readexactly(4))
            await reader.readexactly(length - 4)
            writer.write(self._greeting)
            asked = asyncio.create_task(_message(reader))
            while True:
                asked = await self._transaction(asked, reader, writer)
        writer.close()
        self._serving -= 1

    async def _transaction(
        self, asked: "asyncio.Task[Message]", reader: asyncio.StreamReader, client: Writer
    ) -> "asyncio.Task[Message]":
        """Serve one transaction until the server says that it is over. Returns the next request."""
        await asyncio.wait([asked])
        from_server, to_server = server = await self._idle.get()
        answered = asyncio.create_task(_pass_on(from_server, client))
        try:
            while not answered.done():
                await asyncio.wait([asked, answered], return_when=asyncio.FIRST_COMPLETED)
                if asked.done():
                    kind, body = asked.result()
                    if kind == b"X":
                        raise ConnectionError
                    to_server.write(kind + body)
                    asked = asyncio.create_task(_message(reader))
            answered.result()
            return asked
        finally:
            answered.cancel()
            self._idle.put_nowait(server)


async def _pass_on(server: asyncio.StreamReader, client: Writer) -> None:
    while True:
        kind, body = await _message(server)
        client.write(kind + body)
        if kind == b"Z" and body.endswith(b"I"):
            return


async def _message(reader: asyncio.StreamReader) -> Message:
    kind, size = await reader.readexactly(1), await reader.readexactly(4)
    return kind, size + await reader.readexactly(struct.unpack("!i", size)[0] - 4)
