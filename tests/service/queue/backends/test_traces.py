"""A job's trace goes with it on every backend: alone, in a batch, and to its next attempt."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import format_span_id

from service import observers
from service.queue.tasks.enqueue import build_job
from service.telemetry.allowance import Allowance
from service.telemetry.spans import Tracer
from tests.conftest import until
from tests.service.queue.backends.conftest import Backend, ended
from tests.service.queue.backends.tasks import registry


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """What is recorded in this process."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(memory))
    observers.tracer = Tracer(provider.get_tracer("test"), Allowance(100))
    yield memory
    observers.tracer = None


def named(spans: InMemorySpanExporter, name: str) -> list[ReadableSpan]:
    return [each for each in spans.get_finished_spans() if each.name == name]


def parents(spans: list[ReadableSpan]) -> set[int | None]:
    return {each.parent.span_id if each.parent else None for each in spans}


async def test_each_attempt_is_below_the_span_that_enqueued_the_job(
    backend: Backend, spans: InMemorySpanExporter
) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    job = await queue.enqueue("fail", times=1)
    assert job is not None
    await ended(queue, job.key)
    await until(lambda: len(named(spans, "process fail")) == 2, what="both attempts")
    (sent,), attempts = named(spans, "send fail"), named(spans, "process fail")
    assert sent.context is not None
    assert parents(attempts) == {sent.context.span_id}
    assert {each.context.trace_id for each in attempts if each.context} == {sent.context.trace_id}
    assert [(each.attributes or {})["moorage.outcome"] for each in attempts] == [
        "retried",
        "complete",
    ]
    assert job.meta["traceparent"].split("-")[2] == format_span_id(sent.context.span_id)


async def test_a_batch_is_one_span_above_all_its_jobs(
    backend: Backend, spans: InMemorySpanExporter
) -> None:
    queue = await backend.connect()
    await backend.work(queue)
    jobs = await queue.enqueue_many([build_job(registry, "echo", {"value": n}) for n in range(3)])
    for job in jobs:
        assert job is not None
        await ended(queue, job.key)
    await until(lambda: len(named(spans, "process echo")) == 3, what="all three")
    (sent,) = named(spans, "send echo")
    assert sent.context is not None
    assert (sent.attributes or {})["messaging.batch.message_count"] == 3
    assert parents(named(spans, "process echo")) == {sent.context.span_id}
