"""A job's state as it changes, as server-sent events; one look at the table serves all streams."""

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

LOOK_SECONDS = 0.5  # between two looks at the jobs that somebody watches
KEEP_ALIVE_SECONDS = 15.0  # a comment, below the load balancer's idle timeout of 60 s
STREAMS_MAX = 200  # of one process
ENDED = ("complete", "failed", "aborted")

log = structlog.stdlib.get_logger("api")


class Place:
    """Of one stream; free again when it is left, or nobody holds it: its client has gone before."""

    def __init__(self, key: str, leave: Callable[[str], None]) -> None:
        self.key = key
        self.leave = weakref.finalize(self, leave, key)  # runs once, whoever comes first


class Watch:
    """Tells any number of streams of any number of jobs, in one statement each half second."""

    def __init__(self, queue: JobQueue) -> None:
        self._queue = queue
        self._states: dict[str, JobEvent] = {}
        self._streams: dict[str, int] = {}  # by key, how many
        self._looked = asyncio.Condition()
        self._task: asyncio.Task[None] | None = None
        self.is_closed = False

    def take(self, key: str) -> Place | None:
        """A place for one stream of that job; None where all are taken, or the end has come."""
        if self.is_closed or sum(self._streams.values()) >= STREAMS_MAX:
            return None
        self._streams[key] = self._streams.get(key, 0) + 1
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._look_forever(), name="job events")
        return Place(key, self._leave)

    async def states(self, place: Place) -> AsyncIterator[JobEvent | None]:
        """The job's state now and at each change until it has ended; None to keep alive."""
        last: JobEvent | None = None
        spoken_at = time.monotonic()
        try:
            while not self.is_closed:
                state = self._states.get(place.key)
                if state is not None and state != last:
                    last, spoken_at = state, time.monotonic()
                    yield state
                    if state.status in ENDED:
                        return
                elif time.monotonic() - spoken_at >= KEEP_ALIVE_SECONDS:
                    spoken_at = time.monotonic()
                    yield None
                # after each look; a look may also hang
                with suppress(TimeoutError):
                    async with asyncio.timeout(KEEP_ALIVE_SECONDS), self._looked:
                        await self._looked.wait()
        finally:
            place.leave()

    def _leave(self, key: str) -> None:
        self._streams[key] -= 1
        if not self._streams[key]:
            del self._streams[key]
            self._states.pop(key, None)

    async def close(self) -> None:
        """End every stream: its client comes back, to another process."""
        self.is_closed = True
        async with self._looked:
            self._looked.notify_all()

    async def _look_forever(self) -> None:
        while self._streams and not self.is_closed:
            try:
                await self._look()
            except Exception as error:  # the streams stay, and hear again when it is back
                log.warning("cannot look at the jobs", error=type(error).__name__)
            async with self._looked:
                self._looked.notify_all()
            await asyncio.sleep(LOOK_SECONDS)

    async def _look(self) -> None:
        keys = list(self._streams)
        jobs = await self._queue.jobs(keys)
        for key, job in zip(keys, jobs, strict=True):
            if job is not None:
                self._states[key] = JobEvent(
                    status=job.status.value,
                    attempts=job.attempts,
                    progress=round(job.progress * 100, 2),
                    message=job.meta.get(MESSAGE),
                    error=job.error,
                )
            elif record := await self._queue.find_record(key):
                self._states[key] = JobEvent(
                    status=record.status, attempts=record.attempts, progress=None, message=None,
                    error=record.error,
                )  # fmt: skip


def message(state: JobEvent | None) -> ServerSentEventMessage:
    """As it is sent: the event is the status, its id stands for the whole state."""
    if state is None:
        return ServerSentEventMessage(comment="still here")
    data = msgspec.json.encode(state)
    return ServerSentEventMessage(event=state.status, id=state_id(state), data=data.decode())


def state_id(state: JobEvent) -> str:
    """Equal for equal states, so that a client that comes back is not told what it knows."""
    return hashlib.blake2b(msgspec.json.encode(state), digest_size=8).hexdigest()


async def stream(watch: Watch, place: Place, last_id: str | None) -> AsyncIterator[Any]:
    """The messages of one client; `last_id` is what it says that it has heard last."""
    async for state in watch.states(place):
        if state is not None and state_id(state) == last_id:
            if state.status in ENDED:
                return
            continue
        yield message(state)
