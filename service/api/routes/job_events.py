"""A job's state as server-sent events; one query serves all streams of this process."""

import asyncio
import hashlib
import time
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any

import msgspec
import structlog
from litestar.response.sse import ServerSentEventMessage

from service.api.routes.job_views import JobEvent
from service.queue.interface import JobQueue
from service.queue.worker.progress import MESSAGE
from service.redact import redacted

POLL_SECONDS = 0.5  # between two reads of the followed jobs
KEEP_ALIVE_SECONDS = 15.0  # between two comments; the balancer's idle timeout is 60 s
STREAMS_MAX = 200  # of one process
ENDED = ("complete", "failed", "aborted")

log = structlog.stdlib.get_logger("api")


class Place:
    """The place of one stream among `STREAMS_MAX`.

    `leave` frees it. A place that is garbage collected is freed too: a client may disconnect before
    its stream begins.
    """

    def __init__(self, key: str, leave: Callable[[str], None]) -> None:
        self.key = key
        self.leave = weakref.finalize(self, leave, key)  # runs once


class Watch:
    """Reads the followed jobs each half second, all in one query, and serves all streams."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._states: dict[str, JobEvent] = {}
        self._streams: dict[str, int] = {}  # their number, by job key
        self._polled = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.is_closed = False

    def take(self, key: str) -> Place | None:
        """A place for one stream of that job; None where all are taken, or after `close`."""
        if self.is_closed or sum(self._streams.values()) >= STREAMS_MAX:
            return None
        self._streams[key] = self._streams.get(key, 0) + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._poll_forever(), name="job events")
        return Place(key, self._leave)

    async def states(self, place: Place) -> AsyncIterator[JobEvent | None]:
        """The job's state now and at each change until it has ended; None for a keep-alive."""
        last: JobEvent | None = None
        sent_at = time.monotonic()
        try:
            while not self.is_closed:
                state = self._states.get(place.key)
                if state is not None and state != last:
                    last, sent_at = state, time.monotonic()
                    yield state
                    if state.status in ENDED:
                        return
                elif time.monotonic() - sent_at >= KEEP_ALIVE_SECONDS:
                    sent_at = time.monotonic()
                    yield None
                with suppress(TimeoutError):  # the next read may hang
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS), self._polled:
                        await self._polled.wait()
        finally:
            place.leave()

    def _leave(self, key: str) -> None:
        self._streams[key] -= 1
        if not self._streams[key]:
            del self._streams[key]
            self._states.pop(key, None)

    async def close(self) -> None:
        """End every stream; its client reconnects, to another process."""
        self.is_closed = True
        async with self._polled:
            self._polled.notify_all()

    async def _poll_forever(self) -> None:
        while self._streams and not self.is_closed:
            try:
                await self._poll()
            except Exception as error:  # the streams stay, and go on when the database is back
                log.warning("cannot read the followed jobs", error=type(error).__name__)
            async with self._polled:
                self._polled.notify_all()
            await asyncio.sleep(POLL_SECONDS)

    async def _poll(self) -> None:
        keys = list(self._streams)
        jobs = await self._queue.jobs(keys)
        for key, job in zip(keys, jobs, strict=True):
            if job is not None:
                self._states[key] = JobEvent(
                    status=job.status.value,
                    attempts=job.attempts,
                    progress=round(job.progress * 100, 2),
                    message=redacted(job.meta.get(MESSAGE)),
                    error=redacted(job.error),
                )
            elif record := await self._queue.find_record(key):
                self._states[key] = JobEvent(
                    status=record.status, attempts=record.attempts, progress=None, message=None,
                    error=redacted(record.error),
                )  # fmt: skip


def message(state: JobEvent | None) -> ServerSentEventMessage:
    """The message for a state: the event is the status, and the id is that of the whole state."""
    if state is None:
        return ServerSentEventMessage(comment="still here")
    data = msgspec.json.encode(state)
    return ServerSentEventMessage(event=state.status, id=state_id(state), data=data.decode())


def state_id(state: JobEvent) -> str:
    """Equal for equal states, so that a client that reconnects gets no state twice."""
    return hashlib.blake2b(msgspec.json.encode(state), digest_size=8).hexdigest()


async def stream(watch: Watch, place: Place, last_id: str | None) -> AsyncIterator[Any]:
    """The messages for one client; `last_id` is its header Last-Event-ID."""
    async for state in watch.states(place):
        if state is not None and state_id(state) == last_id:
            if state.status in ENDED:
                return
            continue
        yield message(state)
