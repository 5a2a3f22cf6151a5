"""The event stream of a job, on a queue in memory."""

import asyncio

import pytest

from service.api import events
from service.queue.memory import MemoryQueue
from service.queue.registry import discover


async def test_a_stream_that_has_nothing_to_tell_is_kept_alive(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_SECONDS", 1.2)  # more than one look
    queue = MemoryQueue(discover())
    await queue.connect()
    job = await queue.enqueue("example_task", message="", delay=3600)
    assert job is not None
    states = events.Watch(queue).states(job.key)
    async with asyncio.timeout(20):
        first = await anext(states)
        assert first is not None
        assert first.status == "queued"
        assert [await anext(states) for _ in range(2)] == [None, None]
    assert events.message(None).comment
    await queue.disconnect()
