"""Writes metrics as log lines. CloudWatch reads them there, so no process needs a right for it.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

import json
import logging
import time
from collections.abc import Mapping

from service import observers
from service.contract import METRIC_NAMESPACE, Metric, MetricDimension

LOGGER = "metrics"  # a logger of its own: its line is only the object, at any log level

log = logging.getLogger(LOGGER)


def write(dimensions: Mapping[MetricDimension, str], values: Mapping[Metric, float]) -> None:
    """Write one line with one value of each metric, in counts or seconds."""
    log.info(render(dimensions, values, milliseconds=time.time_ns() // 1_000_000))
    if observers.meter is not None:
        observers.meter(dimensions, values)


def render(
    dimensions: Mapping[MetricDimension, str], values: Mapping[Metric, float], *, milliseconds: int
) -> str:
    """The line: a JSON object in the embedded metric format."""
    directive = {
        "Namespace": METRIC_NAMESPACE,
        "Dimensions": [list(dimensions)],
        "Metrics": [
            {"Name": name, "Unit": "Seconds" if name.endswith("Seconds") else "Count"}
            for name in values
        ],
    }
    return json.dumps(
        {
            "_aws": {"Timestamp": milliseconds, "CloudWatchMetrics": [directive]},
            **dimensions,
            **values,
        }
    )
