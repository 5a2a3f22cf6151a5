"""What is not recorded stays so for all that follows from it, and an error is its class alone."""

import asyncio
import contextvars
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from opentelemetry.instrumentation.utils import is_instrumentation_enabled
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from service.telemetry.allowance import Allowance
from service.telemetry.spans import Tracer

TRACE = "0af7651916cd43dd8448eb211c80319c"
LEFT_OUT = f"00-{TRACE}-b7ad6b7169203331-00"
RECORDED = f"00-{TRACE}-b7ad6b7169203331-01"


@dataclass
class Job:
    """As much of a job as a tracer looks at."""

    meta: dict[Any, Any] = field(default_factory=dict)
    key: str = "k-1"
    function: str = "order.send"
    attempts: int = 1


@dataclass
class Recording:
    """A tracer, and what it records."""

    tracer: Tracer
    memory: InMemorySpanExporter

    @property
    def names(self) -> list[str]:
        return [each.name for each in self.memory.get_finished_spans()]

    def send(self) -> str | None:
        """Enqueue a job here; the header that it gets."""
        job = Job()
        with self.tracer.sending("default", [job]):
            pass
        found: str | None = job.meta.get("traceparent")
        return found


def recording(allowance: Allowance | None = None, **options: Any) -> Recording:
    memory = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False, **options)
    provider.add_span_processor(SimpleSpanProcessor(memory))
    return Recording(Tracer(provider.get_tracer("test"), allowance), memory)


def apart(call: Callable[[], None]) -> None:
    """As an asyncio task does: what is set in it ends with it."""
    contextvars.copy_context().run(call)


def test_a_job_of_a_trace_that_is_not_recorded_hands_that_on() -> None:
    here = recording(Allowance(100))

    def run() -> None:
        assert here.tracer.running("default", Job({"traceparent": LEFT_OUT})) is None
        assert here.send() == LEFT_OUT
        assert here.tracer.ids() is None
        assert not is_instrumentation_enabled()

    apart(run)
    assert here.names == []


def test_beyond_the_allowance_nothing_is_recorded_and_no_job_is_marked() -> None:
    here = recording(Allowance(0))

    def run() -> None:
        assert here.tracer.running("default", Job({"traceparent": RECORDED})) is None
        assert here.send() is None

    apart(run)
    assert here.names == []


def test_a_sampler_of_the_users_own_decides_for_the_whole_trace() -> None:
    here = recording(None, sampler=ParentBased(ALWAYS_OFF))

    def run() -> None:
        header = here.send()
        assert header is not None
        assert int(header[-2:], 16) & 1 == 0  # not recorded; another bit says that it is random
        assert here.tracer.running("default", Job({"traceparent": RECORDED})) is not None
        assert here.tracer.ids() is not None

    apart(run)
    assert here.names == []  # the job's span has not ended


@pytest.mark.parametrize(
    ("outcome", "error", "is_error"),
    [("complete", None, False), ("retried", KeyError("pa55"), True), ("aborted", None, False)],
)
def test_a_run_ends_with_its_outcome_and_the_class_of_its_error(
    outcome: str, error: Exception | None, is_error: bool
) -> None:
    here = recording(Allowance(100))

    def run() -> None:
        span = here.tracer.running("default", Job({"traceparent": RECORDED}))
        assert span is not None
        assert is_instrumentation_enabled()
        span.called()
        assert not is_instrumentation_enabled()  # the outcome's statement is of many jobs
        span.end(outcome, error)

    apart(run)
    (found,) = here.memory.get_finished_spans()
    assert found.attributes is not None
    assert found.attributes["moorage.outcome"] == outcome
    assert found.attributes.get("error.type") == (type(error).__name__ if error else None)
    assert found.status.is_ok is not is_error
    assert "pa55" not in found.to_json()


def test_an_enqueue_that_fails_is_an_error_and_still_raises() -> None:
    here = recording(Allowance(100))
    with (
        pytest.raises(ConnectionError),
        here.tracer.sending("default", [Job()]),
    ):
        raise ConnectionError("pa55")
    (found,) = here.memory.get_finished_spans()
    assert found.attributes is not None
    assert found.attributes["error.type"] == "ConnectionError"
    assert "pa55" not in found.to_json()


@pytest.mark.parametrize(
    ("status", "path", "header", "names"),
    [
        (200, "/orders/7", RECORDED, ["GET /orders/{id}"]),
        (500, "/orders/7", "nonsense", ["GET /orders/{id}"]),
        (200, "/orders/7", LEFT_OUT, []),
        (200, "/health/ready", RECORDED, []),
    ],
)
def test_a_request_is_recorded_by_its_route(
    status: int, path: str, header: str, names: list[str]
) -> None:
    here = recording(Allowance(100))

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["path_template"] = "/orders/{id}"
        await send({"type": "http.response.start", "status": status, "headers": []})

    async def send(message: Any) -> None:
        pass

    scope: dict[str, Any] = {
        "type": "http", "method": "GET", "scheme": "https", "path": path,
        "query_string": b"token=pa55", "headers": [(b"traceparent", header.encode())],
    }  # fmt: skip
    answer: Any = here.tracer.answering(app)
    asyncio.run(answer(scope, send, send))
    assert here.names == names
    for found in here.memory.get_finished_spans():
        assert found.status.is_ok is (status < 500)
        assert "pa55" not in found.to_json()
        assert "/orders/7" not in found.to_json()
