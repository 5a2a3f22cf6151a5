"""The metrics of `service/metrics.py` as instruments of OpenTelemetry, with the same names."""

from collections.abc import Mapping

from opentelemetry.metrics import Meter
from opentelemetry.sdk.metrics.view import View

from service.contract import Metric, MetricDimension

# Counts since the last write of one worker; of all others each value replaces the last one.
COUNTS = {
    Metric.JOBS_STARTED, Metric.JOBS_FINISHED, Metric.JOBS_FAILED, Metric.JOBS_RETRIED,
    Metric.DEAD_LETTERS,
}  # fmt: skip


# The SDK makes an instrument's name lower case, and leaves that of a view as it is.
NAMES = [View(instrument_name=name.lower(), name=name) for name in Metric]


class Meters:
    """One instrument for each metric."""

    def __init__(self, meter: Meter) -> None:
        self._counters = {name: meter.create_counter(name, "1") for name in COUNTS}
        self._gauges = {
            name: meter.create_gauge(name, "s" if name.endswith("Seconds") else "1")
            for name in Metric
            if name not in COUNTS
        }

    def record(
        self, dimensions: Mapping[MetricDimension, str], values: Mapping[Metric, float]
    ) -> None:
        """Record one write of metrics."""
        attributes = {str(name): value for name, value in dimensions.items()}
        for name, value in values.items():
            if name in COUNTS:
                self._counters[name].add(value, attributes)
            else:
                self._gauges[name].set(value, attributes)
