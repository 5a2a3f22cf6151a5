"""Traces and metrics by OTLP, to where `OTEL_EXPORTER_OTLP_ENDPOINT` says.

The SDK reads its other variables itself: docs/telemetry.md names those that matter.
"""

import os

from opentelemetry import context, metrics, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.asyncpg import AsyncPGInstrumentor
from opentelemetry.instrumentation.botocore import BotocoreInstrumentor
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.instrumentation.instrumentor import (  # type: ignore[attr-defined]
    BaseInstrumentor,
)
from opentelemetry.metrics import NoOpMeterProvider
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from service import observers
from service.contract import METRIC_NAMESPACE
from service.settings import Settings
from service.telemetry.allowance import Allowance
from service.telemetry.exporting import Metrics, Spans
from service.telemetry.meters import NAMES, Meters
from service.telemetry.sampling import Inside
from service.telemetry.spans import QUIET, Tracer

SAMPLER = "OTEL_TRACES_SAMPLER"
# A span costs a process about 90 microseconds, its sending included: these are 1 % of a second.
SPANS_PER_SECOND = 100
CONVENTIONS = "OTEL_SEMCONV_STABILITY_OPT_IN"


def start(settings: Settings, process: str) -> None:
    """Record and send traces and metrics, from now to the end of the process."""
    environment = os.environ  # noqa: TID251 - variables of the SDK that no setting of ours has
    # The names of today for queries and HTTP calls, instead of those of the first years.
    environment.setdefault(CONVENTIONS, "http,database")
    resource, address = _resource(settings, process), settings.otel_exporter_otlp_endpoint
    if settings.otel_traces_exporter != "none":
        provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        provider.sampler = Inside(provider.sampler)
        provider.add_span_processor(BatchSpanProcessor(Spans(OTLPSpanExporter(), address)))
        trace.set_tracer_provider(provider)
        _instrument(provider)
        own_choice = SAMPLER in environment
        observers.tracer = Tracer(
            provider.get_tracer(METRIC_NAMESPACE.lower()),
            None if own_choice else Allowance(SPANS_PER_SECOND),
        )
        observers.closers.append(provider.shutdown)
    if settings.otel_metrics_exporter != "none":
        reader = PeriodicExportingMetricReader(
            Metrics(address), export_interval_millis=settings.metric_seconds * 1000
        )
        meters = MeterProvider([reader], resource=resource, shutdown_on_exit=False, views=NAMES)
        metrics.set_meter_provider(meters)
        observers.meter = Meters(meters.get_meter(METRIC_NAMESPACE)).record
        observers.closers.append(meters.shutdown)


def _resource(settings: Settings, process: str) -> Resource:
    """Who sends; `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` count more."""
    given = OTELResourceDetector().detect().attributes
    return Resource.create(
        {
            "service.name": f"{settings.app_name}-{process}",
            "service.namespace": settings.app_name,
            "deployment.environment.name": settings.stage,
            **given,
        }
    )


def _instrument(provider: TracerProvider) -> None:
    """Record queries and HTTP calls of requests and jobs, and those alone.

    The statements of the queue itself run in contexts that are made from this one, where recording
    is off; the span of a request or a job begins a context in which it is on.
    """
    context.attach(QUIET)
    quiet = NoOpMeterProvider()
    for library in (AsyncPGInstrumentor, HTTPXClientInstrumentor, BotocoreInstrumentor):
        made: BaseInstrumentor = library()
        made.instrument(tracer_provider=provider, meter_provider=quiet)
