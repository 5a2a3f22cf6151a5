"""LISTEN on a connection of its own, which a regular ping proves to be alive."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import asyncpg
import structlog

from service.db import backoff

PING_SECONDS = 10.0
PING_TIMEOUT_SECONDS = 5.0

log = structlog.stdlib.get_logger("queue")


class Listener:
    """Calls `on_message(payload)` for each NOTIFY on the channels, from `start` until `stop`.

    A firewall or a failover can leave a socket that looks open and receives nothing. So the
    listener sends a NOTIFY to itself, and reconnects when it does not receive it. After each
    connect it calls `on_message("")`, because notifications may have been missed.
    """

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        channels: Callable[[], Sequence[str]],
        on_message: Callable[[str], None],
    ) -> None:
        self._connect = connect
        self._channels = channels
        self._on_message = on_message
        self._task: asyncio.Task[None] | None = None
        self._heard = asyncio.Event()
        self._started_at = 0.0
        self.heard_at: float | None = None  # time.monotonic() of the last ping that came back

    def start(self) -> None:
        if self._task is None:
            self._started_at = time.monotonic()
            self._task = asyncio.create_task(self._run(), name="queue listener")

    def seconds_since_heard(self) -> float:
        """Seconds since the last ping came back; about ten at most while all is well."""
        return time.monotonic() - (self.heard_at or self._started_at)

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            self._task = None

    async def _run(self) -> None:
        failures = 0
        while True:
            connection: asyncpg.Connection | None = None
            try:
                connection = await self._connect()
                await self._listen(connection)
                if failures:
                    log.info("listening again", channels=self._channels())
                failures = 0
                self._on_message("")
                while True:
                    await self._ping(connection)
                    await asyncio.sleep(PING_SECONDS)
            except Exception as error:  # whatever it is, this loop has to go on
                failures += 1
                if failures == 1:
                    log.warning("cannot listen; polling meanwhile", error=type(error).__name__)
            finally:
                if connection is not None:
                    connection.terminate()  # a close would wait for a dead socket
            await asyncio.sleep(backoff(failures))

    async def _listen(self, connection: asyncpg.Connection) -> None:
        def on_notify(_: Any, __: int, ___: str, payload: object) -> None:
            self._on_message(str(payload))

        def on_ping(*_: Any) -> None:
            self._heard.set()

        for channel in self._channels():
            await connection.add_listener(channel, on_notify)
        await connection.add_listener(self._ping_channel(connection), on_ping)

    async def _ping(self, connection: asyncpg.Connection) -> None:
        self._heard.clear()
        async with asyncio.timeout(PING_TIMEOUT_SECONDS):
            await connection.execute(f'NOTIFY "{self._ping_channel(connection)}"')
            await self._heard.wait()
        self.heard_at = time.monotonic()

    @staticmethod
    def _ping_channel(connection: asyncpg.Connection) -> str:
        # A channel of this connection only: a ping must not wake other workers.
        return f"ping:{connection.get_server_pid()}"
