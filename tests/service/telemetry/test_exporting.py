"""What leaves a process: no secret, no value of a row, and little of its time."""

import time
from typing import Any

import pytest
import structlog
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor, SpanExportResult
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, Status, StatusCode

from service.telemetry.allowance import Allowance
from service.telemetry.exporting import Failures, Spans
from service.telemetry.hiding import shown_text
from service.telemetry.sampling import RESET, Inside
from service.telemetry.spans import read_header, write_header
from tests.ports import free_port

ADDRESS = "https://user:pa55word@example.org/?access_token=pa55word&page=1"
SHOWN = "https://user:[hidden]@example.org/?access_token=[hidden]&page=1"


def exported(attributes: dict[str, Any], error: Exception | None = None) -> ReadableSpan:
    """The span that leaves the process for one with these attributes."""
    memory = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(Spans(memory, "")))
    span = provider.get_tracer("test").start_span("work", attributes=attributes)
    if error:
        span.record_exception(error)
        span.set_status(Status(StatusCode.ERROR, str(error)))
    span.end()
    (found,) = memory.get_finished_spans()
    return found


def test_secrets_are_hidden_by_their_names_and_in_addresses() -> None:
    found = exported({"http.request.header.authorization": "Bearer pa55word", "url.full": ADDRESS})
    assert found.attributes == {
        "http.request.header.authorization": "[hidden]",
        "url.full": SHOWN,
    }


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://hooks.slack.com/services/T0/B0/abCdefghijklmnopqrst1234",
         "https://hooks.slack.com/services/T0/B0/[hidden]"),
        ("https://api.telegram.org/bot123456:ABC-DEF1234ghIkl-zyx57W/sendMessage?page=2",
         "https://api.telegram.org/[hidden]/sendMessage?page=2"),
        ("https://example.org/a-long-name-of-words-only/7", None),
        ("https://a-host-of-some-length-1.example.org", None),
        ("https://example.org?next=abCdefghijklmnopqrst1234", None),
    ],
)  # fmt: skip
def test_a_called_address_goes_without_what_may_be_a_token_in_its_path(
    address: str, shown: str | None
) -> None:
    assert exported({"url.full": address}).attributes == {"url.full": shown or address}
    assert shown_text(f"404 for '{address}'") == f"404 for '{shown or address}'"


def test_a_statement_goes_without_the_values_in_its_text() -> None:
    text = (
        "ALTER USER x PASSWORD 'it''s pa55word'; SELECT $q$pa55word$q$ FROM t1 WHERE id = $1"
        ' AND ssn = 123456789 AND a."7" > 1.5 LIMIT 10'
    )
    found = exported({"db.query.text": text})
    wanted = (
        'ALTER USER x PASSWORD ?; SELECT ? FROM t1 WHERE id = $1 AND ssn = ? AND a."7" > ? LIMIT ?'
    )
    assert found.attributes == {"db.query.text": wanted}


def test_of_an_error_only_the_class_goes() -> None:
    found = exported({}, ValueError("invalid input for query argument $1: 'pa55word'"))
    (event,) = found.events
    assert event.attributes is not None
    assert event.attributes["exception.type"] == "ValueError"
    assert found.status.description is None
    assert found.status.status_code is StatusCode.ERROR
    assert "pa55word" not in found.to_json()


def test_a_dead_collector_costs_a_line_a_minute() -> None:
    now = 0.0
    exporter = Spans(OTLPSpanExporter(f"http://127.0.0.1:{free_port()}/v1/traces", timeout=0.2), "")
    exporter._failures = Failures("spans", "http://dead", lambda: now)
    span = exported({})
    with structlog.testing.capture_logs() as lines:
        assert exporter.export([span]) is SpanExportResult.FAILURE
        assert exporter.export([span, span]) is SpanExportResult.FAILURE
        now = 60.0
        assert exporter.export([span]) is SpanExportResult.FAILURE
    assert [(line["event"], line["lost"]) for line in lines] == [
        ("spans could not be sent", 1),
        ("spans could not be sent", 3),
    ]


def test_an_allowance_is_so_many_a_second_and_no_more_after_a_quiet_one() -> None:
    allowance = Allowance(20)
    assert [allowance.take() for _ in range(21)] == [True] * 20 + [False]
    time.sleep(0.11)
    assert [allowance.take() for _ in range(4)] == [True, True, False, False]


def test_what_is_outside_of_requests_and_jobs_is_not_recorded() -> None:
    provider = TracerProvider()
    provider.sampler = Inside(provider.sampler)
    tracer = provider.get_tracer("test")
    assert not tracer.start_span("SELECT", kind=SpanKind.CLIENT).is_recording()
    with tracer.start_as_current_span("job"):
        assert tracer.start_span("SELECT", kind=SpanKind.CLIENT).is_recording()
        reset = tracer.start_span("x", kind=SpanKind.CLIENT, attributes={"db.query.text": RESET})
        assert not reset.is_recording()


HEADER = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_a_header_is_read_as_it_was_written() -> None:
    span = read_header(HEADER)
    assert span is not None
    assert span.is_remote
    assert write_header(span) == HEADER


@pytest.mark.parametrize(
    "header", [None, 7, "", HEADER[:-1], f"{HEADER}\n", HEADER.replace("00-", "01-"),
               f"00-{'0' * 32}-b7ad6b7169203331-01"],
)  # fmt: skip
def test_a_malformed_header_names_no_span(header: object) -> None:
    assert read_header(header) is None
