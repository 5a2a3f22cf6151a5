"""A worker's connections to Redis: its event loop's, and that of the thread that says it lives."""

import contextlib
import threading
import time
from typing import Any

import redis as blocking_redis
from redis import asyncio as aioredis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.queue.tables.table_statements import NEWCOMER_SECONDS

KEEP_SECONDS = 3.0
LEASE_SECONDS = 12  # without a beat for this long, the jobs go to other workers
BLOCKED_SECONDS = 60.0  # a main loop that stands still for longer counts as dead
# Below the time a statement may take, above the longest wait for a job.
CLIENT: dict[str, Any] = {
    "socket_timeout": 5.0,
    "socket_connect_timeout": 3.0,
    "socket_keepalive": True,
    "health_check_interval": 10,
}
# That pass: it is full, or no primary.
REFUSALS = (OutOfMemoryError, ReadOnlyError, MasterDownError)


class Client(aioredis.Redis):
    """Says that Redis is away as the rest of the service expects it; without its address."""

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
            # A primary that was demoted keeps its connections; a new one finds its successor.
            # Closed when it is given back: idle ones may be another call's this very moment.
            connection.mark_for_reconnect()
            raise


class Beat(threading.Thread):
    """Says every three seconds that this worker lives.

    In a thread: a job that keeps the main loop busy for a while is alive, and must not run a second
    time elsewhere.
    """

    def __init__(self, url: str, key: str) -> None:
        super().__init__(daemon=True, name="queue beat")
        self._client = blocking_redis.Redis.from_url(url, **CLIENT)
        self._key = key
        self._stopping = threading.Event()
        # All of time.monotonic(): the main loop's last turn, the last beat, the first without a gap
        self._turned_at = time.monotonic()
        self._beat_at = float("-inf")
        self._steady_since = float("inf")

    def note_main_loop(self) -> None:
        self._turned_at = time.monotonic()

    def is_fresh(self) -> bool:
        """Would nobody take this worker for dead?"""
        return time.monotonic() - self._beat_at < LEASE_SECONDS - KEEP_SECONDS

    def may_judge(self) -> bool:
        """Has it lived for so long that others, had they been cut off too, are back?"""
        return self.is_fresh() and time.monotonic() - self._steady_since > NEWCOMER_SECONDS

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
