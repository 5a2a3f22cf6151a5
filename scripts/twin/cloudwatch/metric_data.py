"""Writes data points to moto's CloudWatch, and deletes old ones."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from moto.cloudwatch.models import CloudWatchBackend

KEPT = timedelta(hours=3)  # moto would keep every data point for ever, and search all of them

Point = tuple[str, Mapping[Any, str], float]  # name, dimensions, value


def put(
    cloudwatch: CloudWatchBackend,
    namespace: str,
    points: Iterable[Point],
    *,
    at: datetime | None = None,
    units: Mapping[str, str] | None = None,
) -> None:
    """Write `points` with the time `at`, or now, and delete those that are too old."""
    now = datetime.now(UTC).replace(tzinfo=None)  # without a time zone, as in moto
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
    """Delete the data points before `before`; moto keeps them in order of arrival."""
    kept = cloudwatch.metric_data
    count = 0
    while count < len(kept) and kept[count].timestamp < before:
        count += 1
    del kept[:count]
