"""Points of metrics in moto's CloudWatch: written there, and kept for a while only."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

KEPT = timedelta(hours=3)  # moto would keep every point for ever, and look through all of them

Point = tuple[str, Mapping[Any, str], float]  # name, dimensions, value


def put(
    cloudwatch: CloudWatchBackend,
    namespace: str,
    points: Iterable[Point],
    *,
    at: datetime | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write `points`, as of `at` or now, and let go of those that are too old."""
    now = datetime.now(UTC).replace(tzinfo=None)  # as moto has it
    cloudwatch.put_metric_data(
        namespace,
        [
            {
                "MetricName": name,
                "Dimensions": [{"Name": key, "Value": each} for key, each in dims.items()],
                "Timestamp": at or now,
                "Value": float(value),
                "Unit": (units or {}).get(name),
            }
            for name, dims, value in points
        ],
    )
    forget(cloudwatch, now - KEPT)


def forget(cloudwatch: CloudWatchBackend, before: datetime) -> None:
    """Drop the points before `before`; they lie in the order in which they came."""
    kept = cloudwatch.metric_data
    count = 0
    while count < len(kept) and kept[count].timestamp < before:
        count += 1
    del kept[:count]
