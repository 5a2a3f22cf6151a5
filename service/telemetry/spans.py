"""The spans of requests and jobs, by OpenTelemetry's conventions for HTTP and messaging.

https://opentelemetry.io/docs/specs/semconv/messaging/messaging-spans/
https://opentelemetry.io/docs/specs/semconv/http/http-spans/
"""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from litestar.enums import ScopeType
from litestar.types import ASGIApp, HTTPScope, Message, Receive, Scope, Send
from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.instrumentation.utils import suppress_instrumentation
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
)

from service.contract import LIVE_PATH, READY_PATH
from service.observers import TRACEPARENT, Job
from service.telemetry.allowance import Allowance

# https://www.w3.org/TR/trace-context/#traceparent-header
HEADER = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")
SYSTEM = "moorage"
BAD = ("failed", "retried")

with suppress_instrumentation():
    QUIET = context.get_current()  # no query and no HTTP call is recorded in it


class Tracer:
    """Makes the spans, at most as many as the allowance has; None: as the sampler decides."""

    def __init__(self, tracer: trace.Tracer, allowance: Allowance | None) -> None:
        self._tracer = tracer
        self._allowance = allowance

    @contextmanager
    def sending(self, queue: str, jobs: Sequence[Job]) -> Iterator[None]:
        """One span, also for a batch. It is the parent of every attempt of its jobs."""
        outer = trace.get_current_span()
        span = self._begin_sending(queue, jobs, outer.get_span_context())
        parent = (span or outer).get_span_context()
        if parent.is_valid:
            header = write_header(parent)
            for job in jobs:
                job.meta[TRACEPARENT] = header
        if span is None:
            yield
            return
        # The statement that enqueues is the queue's own, and this span shows its time.
        token = context.attach(trace.set_span_in_context(span, QUIET))
        try:
            yield
        except BaseException as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            context.detach(token)
            if len(jobs) == 1:
                span.set_attribute("messaging.message.id", jobs[0].key)
            span.end()

    def running(self, queue: str, job: Job) -> "RunSpan | None":
        parent = read_header(job.meta.get(TRACEPARENT))
        if parent is not None and not parent.trace_flags.sampled:
            context.attach(_unrecorded(parent))
            return None
        if self._allowance and not self._allowance.take():
            return None
        outside = Context()
        if parent is not None:
            outside = trace.set_span_in_context(NonRecordingSpan(parent), outside)
        span = self._tracer.start_span(
            f"process {job.function}",
            outside,
            SpanKind.CONSUMER,
            {
                "messaging.system": SYSTEM,
                "messaging.operation.type": "process",
                "messaging.operation.name": "process",
                "messaging.destination.name": queue,
                "messaging.message.id": job.key,
                "moorage.task": job.function,
                "moorage.attempt": job.attempts,
                "moorage.waited_seconds": _waited(job),
            },
        )
        context.attach(_inside(span))
        return RunSpan(span)

    def answering(self, app: ASGIApp) -> ASGIApp:
        """But for health checks."""

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != ScopeType.HTTP or scope["path"] in (LIVE_PATH, READY_PATH):
                await app(scope, receive, send)
                return
            parent = _caller(scope)
            if parent is not None and not parent.trace_flags.sampled:
                token = context.attach(_unrecorded(parent))
                try:
                    await app(scope, receive, send)
                finally:
                    context.detach(token)
            elif self._allowance and not self._allowance.take():
                await app(scope, receive, send)
            else:
                await self._answer(app, scope, receive, send, parent)

        return answer

    def ids(self) -> tuple[str, str] | None:
        here = trace.get_current_span().get_span_context()
        if not here.trace_flags.sampled:
            return None
        return trace.format_trace_id(here.trace_id), trace.format_span_id(here.span_id)

    async def _answer(
        self,
        app: ASGIApp,
        scope: HTTPScope,
        receive: Receive,
        send: Send,
        parent: SpanContext | None,
    ) -> None:
        outside = Context()
        if parent is not None:
            outside = trace.set_span_in_context(NonRecordingSpan(parent), outside)
        # Neither path nor query, client nor headers: a path may hold a link that signs in.
        span = self._tracer.start_span(
            scope["method"],
            outside,
            SpanKind.SERVER,
            {"http.request.method": scope["method"], "url.scheme": scope["scheme"]},
        )
        status = 0

        async def send_watched(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        token = context.attach(_inside(span))
        try:
            await app(scope, receive, send_watched)
        finally:
            context.detach(token)
            if route := scope.get("path_template"):
                span.update_name(f"{scope['method']} {route}")
                span.set_attribute("http.route", route)
            if status:
                span.set_attribute("http.response.status_code", status)
            if status >= 500:
                span.set_attribute("error.type", str(status))
                span.set_status(Status(StatusCode.ERROR))
            span.end()

    def _begin_sending(self, queue: str, jobs: Sequence[Job], outer: SpanContext) -> Span | None:
        """None where this is not recorded."""
        if not jobs or (outer.is_valid and not outer.trace_flags.sampled):
            return None
        if self._allowance and not self._allowance.take():
            return None
        names = {job.function for job in jobs}
        attributes: dict[str, str | int] = {
            "messaging.system": SYSTEM,
            "messaging.operation.type": "send",
            "messaging.operation.name": "send",
            "messaging.destination.name": queue,
        }
        if len(names) == 1:
            attributes["moorage.task"] = jobs[0].function
        if len(jobs) > 1:
            attributes["messaging.batch.message_count"] = len(jobs)
        return self._tracer.start_span(
            f"send {jobs[0].function if len(names) == 1 else queue}",
            kind=SpanKind.PRODUCER,
            attributes=attributes,
        )


class RunSpan:
    """The span of one attempt of a job."""

    def __init__(self, span: Span) -> None:
        self._span = span
        self._ended_at: int | None = None

    def called(self) -> None:
        """Still in the span, for the log, but it ends here, and no query is recorded any more."""
        self._ended_at = time.time_ns()
        context.attach(trace.set_span_in_context(self._span, QUIET))

    def end(self, outcome: str, error: BaseException | None) -> None:
        """As in the log, an error is its type alone: its text may quote the payload."""
        self._span.set_attribute("moorage.outcome", outcome)
        if outcome in BAD:
            self._span.set_status(Status(StatusCode.ERROR))
            if error is not None:
                self._span.set_attribute("error.type", type(error).__qualname__)
        self._span.end(self._ended_at)


def write_header(span: SpanContext) -> str:
    """The context of a span as text."""
    return f"00-{span.trace_id:032x}-{span.span_id:016x}-{span.trace_flags:02x}"


def read_header(header: object) -> SpanContext | None:
    """The context that the text names; None where it names none."""
    found = HEADER.fullmatch(header) if isinstance(header, str) else None
    if found is None:
        return None
    trace_id, span_id, flags = (int(each, 16) for each in found.groups())
    parent = SpanContext(trace_id, span_id, is_remote=True, trace_flags=TraceFlags(flags))
    return parent if parent.is_valid else None


def _caller(scope: Scope) -> SpanContext | None:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return read_header(value.decode("latin-1"))
    return None


def _inside(span: Span) -> Context:
    """The context in the span. Queries are recorded in it where the span is."""
    return trace.set_span_in_context(span, Context() if span.is_recording() else QUIET)


def _unrecorded(parent: SpanContext) -> Context:
    """The context in a trace that its caller does not record: so nothing that follows is."""
    return _inside(NonRecordingSpan(parent))


def _waited(job: Job) -> float:
    """Seconds from when the job was due to now; of another attempt, from when it was enqueued."""
    due = max(getattr(job, "scheduled", 0), getattr(job, "queued", 0) / 1000)
    return round(max(0.0, time.time() - due), 3) if due else 0.0
