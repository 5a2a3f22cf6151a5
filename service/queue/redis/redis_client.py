"""A worker's two connections to Redis: one in the event loop, one in the thread of its lease."""

import contextlib
import threading
import time
from typing import Any

import redis as blocking_redis
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.queue.tables.table_statements import NEW_WORKER_SECONDS

KEEP_SECONDS = 3.0
LEASE_SECONDS = 12  # a worker that has not renewed its lease for so long counts as dead
BLOCKED_SECONDS = 60.0  # a main loop that is blocked for longer counts as dead
# The timeout is longer than the longest wait for a job.
CLIENT: dict[str, Any] = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# Redis refuses writes for a time: its memory is full, or it is not the primary.
REFUSALS = (OutOfMemoryError, ReadOnlyError, MasterDownError)


class Client(aioredis.Redis):
    """A client that raises `ConnectionError` while Redis is away, without its address."""

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return await super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except (RedisConnectionError, RedisTimeoutError) as error:
            raise ConnectionError(f"Redis does not answer: {type(error).__name__}") from None
        except REFUSALS as error:
            raise ConnectionError(f"Redis refuses to write: {type(error).__name__}") from None

    async def parse_response(self, connection: Any, command_name: Any, **options: Any) -> Any:
        try:
            return await super().parse_response(connection, command_name, **options)
        except REFUSALS:
            # A demoted primary keeps its connections open; a new connection reaches the new one.
            # It is closed when it returns to the pool, because other calls may use the pool now.
            connection.mark_for_reconnect()
            raise


class Beat(threading.Thread):
    """Renews this worker's lease every three seconds, with a key that expires.

    It is a thread, because a job that blocks the main loop for a while is alive, and must not run a
    second time on another worker.
    """

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True, name="queue beat")
        self._client = blocking_redis.Redis.from_url(url, **CLIENT)
        self._key = key
        self._stopping = threading.Event()
        # All of time.monotonic(): the main loop's last turn, the last beat, and the first beat
        # since which the lease has not expired
        self._turned_at = time.monotonic()
        self._beat_at = float("-inf")
        self._steady_since = float("inf")

    def note_main_loop(self) -> None:
        self._turned_at = time.monotonic()

    def is_fresh(self) -> bool:
        """Is the lease far from expiring?"""
        return time.monotonic() - self._beat_at < LEASE_SECONDS - KEEP_SECONDS

    def may_rescue(self) -> bool:
        """Has the lease been live for so long that workers cut off with this one are back?"""
        return self.is_fresh() and time.monotonic() - self._steady_since > NEW_WORKER_SECONDS

    def stop(self) -> None:
        self._stopping.set()
        self.join(KEEP_SECONDS)
        with contextlib.suppress(RedisError):
            self._client.delete(self._key)
        self._client.close()

    def run(self) -> None:
        while not self._stopping.is_set():
            at = time.monotonic()
            try:
                if at - self._turned_at < BLOCKED_SECONDS:
                    self._client.set(self._key, 1, ex=LEASE_SECONDS)
                    if at - self._beat_at > LEASE_SECONDS:
                        self._steady_since = at
                    self._beat_at = at
            except RedisError:
                self._stopping.wait(0.5)
                continue
            self._stopping.wait(KEEP_SECONDS)
