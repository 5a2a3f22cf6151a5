"""A collector that keeps what it is sent, decoded from OTLP's protobuf."""

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class ReceivedSpan:
    """A span as it came over the network."""

    name: str
    trace_id: str
    span_id: str
    parent_id: str
    kind: int
    began: int
    ended: int
    status: int
    attributes: dict[str, Any]
    service: str


@dataclass
class Receiver:
    """What has come so far."""

    url: str = ""
    spans: list[ReceivedSpan] = field(default_factory=list)
    metrics: dict[str, list[tuple[dict[str, Any], float]]] = field(default_factory=dict)
    bodies: list[bytes] = field(default_factory=list)
    requests: int = 0

    def wait_for(self, name: str, count: int = 1) -> list[ReceivedSpan]:
        """The spans of that name, once there are so many."""
        return self._until(lambda: [each for each in self.spans if each.name == name], count)

    def wait_for_metric(self, name: str) -> list[tuple[dict[str, Any], float]]:
        return self._until(lambda: self.metrics.get(name, []), 1)

    def _until(self, found: Callable[[], list[Any]], count: int) -> list[Any]:
        deadline = time.monotonic() + 30
        while len(there := found()) < count:
            if time.monotonic() > deadline:
                pytest.fail(
                    f"{len(there)} came of {[each.name for each in self.spans]} {self.metrics}"
                )
            time.sleep(0.05)
        return there

    def take(self, path: str, body: bytes) -> None:
        self.bodies.append(body)
        if path == "/v1/traces":
            traces = ExportTraceServiceRequest.FromString(body)
            for resource in traces.resource_spans:
                service = _attributes(resource.resource)["service.name"]
                for scope in resource.scope_spans:
                    self.spans += [_span(span, service) for span in scope.spans]
        elif path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                for metric in (m for scope in resource.scope_metrics for m in scope.metrics):
                    points = metric.gauge.data_points or metric.sum.data_points
                    self.metrics.setdefault(metric.name, []).extend(
                        (_attributes(point), point.as_double or float(point.as_int))
                        for point in points
                    )


def _attributes(holder: Any) -> dict[str, Any]:
    return {
        each.key: getattr(each.value, each.value.WhichOneof("value")) for each in holder.attributes
    }


def _span(span: Any, service: str) -> ReceivedSpan:
    attributes = _attributes(span)
    for event in span.events:
        attributes |= _attributes(event)
    return ReceivedSpan(
        span.name, span.trace_id.hex(), span.span_id.hex(), span.parent_span_id.hex(), span.kind,
        span.start_time_unix_nano, span.end_time_unix_nano, span.status.code, attributes, service,
    )  # fmt: skip


@contextlib.contextmanager
def receiving(hangs: threading.Event | None = None) -> Iterator[Receiver]:
    """A collector on this machine; with `hangs` it answers nobody until that is set."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hangs is not None:
                hangs.wait(60)
            receiver.take(self.path, body)
            with contextlib.suppress(OSError):
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def do_GET(self) -> None:
            self.send_response(204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        if hangs is not None:
            hangs.set()
        server.shutdown()
        server.server_close()
        thread.join(5)
