"""Reads metrics in the embedded metric format from log lines, as CloudWatch Logs does.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from moto.cloudwatch.models import Dimension, cloudwatch_backends
from moto.logs.models import LogStream

from scripts.twin.cloudwatch.metric_data import Point, put

log = logging.getLogger("twin.metrics")

_put_log_events = LogStream.put_log_events


@dataclass(frozen=True)
class Batch:
    """The data points of one directive."""

    namespace: str
    at: datetime  # UTC without a time zone, as in moto
    points: list[Point]
    units: dict[str, str]


def apply() -> None:
    """Patch moto's CloudWatch Logs to read metrics; a second time changes nothing."""
    LogStream.put_log_events = _put_and_read  # type: ignore[method-assign]
    # moto sorts dimensions before it compares them; its own order is not always the same.
    Dimension.__lt__ = _is_before  # type: ignore[method-assign]


def read(line: str) -> Iterator[Batch]:
    """The data points of a line; none where the line is not in the format."""
    if not (line.startswith("{") and '"_aws"' in line):
        return
    try:
        root = json.loads(line)
        about = root["_aws"]
        at = datetime.fromtimestamp(about["Timestamp"] / 1000, UTC).replace(tzinfo=None)
        for directive in about["CloudWatchMetrics"]:
            yield Batch(
                namespace=directive["Namespace"],
                at=at,
                points=list(_points(root, directive)),
                units={each["Name"]: each.get("Unit", "None") for each in directive["Metrics"]},
            )
    except (ValueError, KeyError, TypeError) as error:
        log.warning("a line of metrics cannot be read: %s: %s", type(error).__name__, error)


def _points(root: dict[str, Any], directive: dict[str, Any]) -> Iterator[Point]:
    for names in directive["Dimensions"]:
        dimensions = {name: str(root[name]) for name in names}
        for metric in directive["Metrics"]:
            values = root[metric["Name"]]
            for value in values if isinstance(values, list) else [values]:
                yield metric["Name"], dimensions, float(value)


def _is_before(self: Dimension, other: Dimension) -> bool:
    return (self.name or "", self.value or "") < (other.name or "", other.value or "")


def _put_and_read(self: LogStream, log_events: list[dict[str, Any]]) -> str:
    answer = _put_log_events(self, log_events)
    for event in log_events:
        for batch in read(event["message"]):
            cloudwatch = cloudwatch_backends[self.account_id][self.region]
            put(cloudwatch, batch.namespace, batch.points, at=batch.at, units=batch.units)
    return answer
