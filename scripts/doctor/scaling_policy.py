"""A scaling policy's normal form; CloudFormation and Application Auto Scaling write it alike."""

from collections.abc import Mapping
from typing import Any

from scripts.doctor.model import Policy


def read_scaling_policy(given: Mapping[str, Any]) -> Policy:
    """With the metric that it follows, if it tracks a target."""
    tracking = given.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = tracking.get("PredefinedMetricSpecification", {}).get(
        "PredefinedMetricType"
    ) or tracking.get("CustomizedMetricSpecification", {}).get("MetricName", "")
    # A template may write it as text.
    return Policy(metric=metric, may_scale_in=tracking.get("DisableScaleIn") not in (True, "true"))
