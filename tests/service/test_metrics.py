"""The lines that CloudWatch reads metrics from."""

import json
import subprocess
import sys

import pytest

from service import metrics
from service.contract import METRIC_NAMESPACE, Metric, MetricDimension

DIMENSIONS = {
    MetricDimension.APP: "shop",
    MetricDimension.STAGE: "dev",
    MetricDimension.QUEUE: "default",
}


def test_line_is_what_the_embedded_metric_format_asks_for() -> None:
    line = metrics.render(
        DIMENSIONS, {Metric.BACKLOG: 3, Metric.OLDEST_JOB_AGE_SECONDS: 1.5}, milliseconds=1000
    )
    assert json.loads(line) == {
        "_aws": {
            "Timestamp": 1000,
            "CloudWatchMetrics": [
                {
                    "Namespace": METRIC_NAMESPACE,
                    "Dimensions": [["App", "Stage", "Queue"]],
                    "Metrics": [
                        {"Name": "Backlog", "Unit": "Count"},
                        {"Name": "OldestJobAgeSeconds", "Unit": "Seconds"},
                    ],
                }
            ],
        },
        "App": "shop",
        "Stage": "dev",
        "Queue": "default",
        "Backlog": 3,
        "OldestJobAgeSeconds": 1.5,
    }
    assert "\n" not in line


WRITE = """
import sys
from service import logs, metrics
from service.contract import Metric
from service.settings import Settings

logs.configure(Settings.model_construct(log_level="error", log_format=sys.argv[1]), "worker")
metrics.write({}, {Metric.BACKLOG: 0})
"""


@pytest.mark.parametrize(("log_format", "lines"), [("json", 1), ("pretty", 0)])
def test_line_stands_alone_at_any_log_level_and_not_among_lines_for_people(
    log_format: str, lines: int
) -> None:
    # in a process of its own: logging is configured once, for all that runs in one
    command = [sys.executable, "-c", WRITE, log_format]
    found = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert len(found) == lines
    assert all("_aws" in json.loads(line) for line in found)
