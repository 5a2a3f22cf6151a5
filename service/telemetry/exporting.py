"""What leaves the process: without passwords, tokens and keys, and never at a job's expense."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics.export import MetricExportResult, MetricsData
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExporter, SpanExportResult
from opentelemetry.trace import Status

from service import redact
from service.telemetry.hiding import shown_text, statement_text

FAILURE_LOG_SECONDS = 60.0
STATEMENTS = ("db.query.text", "db.statement")
TEXTS = ("exception.message", "exception.stacktrace")

log = structlog.stdlib.get_logger("telemetry")


class Failures:
    """Says at most once a minute that nothing can be sent."""

    def __init__(
        self, what: str, address: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._what, self._address, self._clock = what, address, clock
        self._lost, self._next_at = 0, -1.0

    def note(self, lost: int) -> None:
        self._lost += lost
        if self._clock() >= self._next_at:
            log.warning(f"{self._what} could not be sent", to=self._address, lost=self._lost)
            self._lost, self._next_at = 0, self._clock() + FAILURE_LOG_SECONDS


class Spans(SpanExporter):
    """Hides what `service/redact.py` hides, then hands the spans to another exporter."""

    def __init__(self, exporter: SpanExporter, address: str) -> None:
        self._exporter = exporter
        self._failures = Failures("spans", address)

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        result = self._exporter.export([redacted(span) for span in spans])
        if result is not SpanExportResult.SUCCESS:
            self._failures.note(len(spans))
        return result

    def shutdown(self) -> None:
        self._exporter.shutdown()


class Metrics(OTLPMetricExporter):
    """Sends metrics, and says where they cannot be sent."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self._failures = Failures("metrics", address)

    def export(
        self, metrics_data: MetricsData, timeout_millis: float | None = 10_000, **kwargs: Any
    ) -> MetricExportResult:
        """As the exporter does."""
        result = super().export(metrics_data, timeout_millis, **kwargs)
        if result is not MetricExportResult.SUCCESS:
            self._failures.note(1)
        return result


def redacted(span: ReadableSpan) -> ReadableSpan:
    """The span without secrets in its attributes, and without the texts of errors.

    A text of an error may hold any value of a payload or of a row; its class does not.
    """
    if not span.events and not span.status.description and _is_plain(span.attributes or {}):
        return span
    return ReadableSpan(
        name=span.name,
        context=span.context,
        parent=span.parent,
        resource=span.resource,
        attributes=_shown(span.attributes or {}),
        events=[
            Event(each.name, _of_event(each.attributes or {}), each.timestamp)
            for each in span.events
        ],
        links=span.links,
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _is_plain(attributes: Mapping[str, Any]) -> bool:
    """Is there nothing to hide? Of most spans; a copy would take a tenth of their cost."""
    is_hidden = redact.name_check()
    return not any(
        name in STATEMENTS
        or is_hidden(name)
        or not isinstance(value, str | int | float)
        or (isinstance(value, str) and "://" in value)
        for name, value in attributes.items()
    )


def _of_event(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return _shown({name: value for name, value in attributes.items() if name not in TEXTS})


def _shown(attributes: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = redact.redacted(dict(attributes))
    for name, value in shown.items():
        if name in STATEMENTS:
            shown[name] = statement_text(str(value))
        elif isinstance(value, str):
            shown[name] = shown_text(value)
    return shown
