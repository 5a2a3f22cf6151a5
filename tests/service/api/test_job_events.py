"""The event stream of a job, on a queue in memory."""

import asyncio

import pytest

from service.api.routes import job_events as events
from service.queue.memory.memory_queue import MemoryQueue
from tests.sample import sample_registry


async def test_a_stream_without_changes_is_kept_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 1.2)  # more than one poll
    queue = MemoryQueue(sample_registry())
    await queue.connect()
    job = await queue.enqueue("keep_note", message="", delay=3600)
    assert job is not None
    watch = events.Watch(queue)
    place = watch.take(job.key)
    assert place is not None
    states = watch.states(place)
    async with asyncio.timeout(20):
        first = await anext(states)
        assert first is not None
        assert first.status == "queued"
        assert [await anext(states) for _ in range(2)] == [None, None]
    assert events.message(None).comment
    await queue.disconnect()


async def test_the_place_of_a_stream_that_never_began_is_free_again() -> None:
    queue = MemoryQueue(sample_registry())
    await queue.connect()
    watch = events.Watch(queue)
    places = [watch.take("key") for _ in range(events.STREAMS_MAX)]
    assert None not in places
    assert watch.take("key") is None
    place = places.pop()
    assert place is not None
    unread = events.stream(watch, place, None)
    del place
    assert watch.take("key") is None
    del unread
    assert watch.take("key") is not None
    await watch.close()
    await queue.disconnect()
