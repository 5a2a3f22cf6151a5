"""Target tracking as on AWS: two alarms on the policy's own metric, and an ARN that stays."""

from collections.abc import Mapping
from typing import Any

from moto.applicationautoscaling.models import (
    ApplicationAutoscalingBackend,
    FakeApplicationAutoscalingPolicy,
)
from moto.cloudwatch.models import Alarm, cloudwatch_backends
from moto.moto_api._internal import mock_random

from scripts.twin.autoscaling.scaling_policy import IN_PERIODS, IN_SHARE, OUT_PERIODS

HIGH, LOW = "AlarmHigh", "AlarmLow"

_put = ApplicationAutoscalingBackend.put_scaling_policy


def apply() -> None:
    """Patch moto in this process; a second time changes nothing."""
    FakeApplicationAutoscalingPolicy._generate_ecs_alarms = _alarms  # type: ignore[method-assign]  # noqa: SLF001
    ApplicationAutoscalingBackend.put_scaling_policy = _put_again  # type: ignore[assignment,method-assign]


def alarm_of(policy: FakeApplicationAutoscalingPolicy, which: str) -> Alarm | None:
    """The policy's high or low alarm."""
    return next((each for each in policy.alarms if f"-{which}-" in each.name), None)


def metric_of(config: Mapping[str, Any], resource_id: str) -> dict[str, Any]:
    """Namespace, metric_name, statistic and dimensions of the metric that a policy tracks."""
    _, cluster, service = resource_id.split("/")
    if custom := config.get("CustomizedMetricSpecification"):
        return {
            "namespace": custom.get("Namespace", ""),
            "metric_name": custom.get("MetricName", ""),
            "statistic": custom.get("Statistic", "Average"),
            "dimensions": custom.get("Dimensions", []),
        }
    predefined = config["PredefinedMetricSpecification"]
    if predefined["PredefinedMetricType"] == "ALBRequestCountPerTarget":
        # app/<name>/<id>/targetgroup/<name>/<id>
        parts = predefined["ResourceLabel"].split("/")
        dimensions = {"LoadBalancer": "/".join(parts[:3]), "TargetGroup": "/".join(parts[3:])}
        namespace, name, statistic = "AWS/ApplicationELB", "RequestCountPerTarget", "Sum"
    else:  # ECSServiceAverageCPUUtilization, ECSServiceAverageMemoryUtilization
        dimensions = {"ClusterName": cluster, "ServiceName": service}
        kind = predefined["PredefinedMetricType"].removeprefix("ECSServiceAverage")
        namespace, name, statistic = "AWS/ECS", kind, "Average"
    return {
        "namespace": namespace,
        "metric_name": name,
        "statistic": statistic,
        "dimensions": [{"Name": key, "Value": value} for key, value in dimensions.items()],
    }


def _alarms(self: FakeApplicationAutoscalingPolicy) -> list[Alarm]:
    config: Mapping[str, Any] = self.target_tracking_scaling_policy_configuration or {}
    target = float(config["TargetValue"])
    is_in_disabled = str(config.get("DisableScaleIn", "")).lower() == "true"
    wanted = [(HIGH, "GreaterThanThreshold", OUT_PERIODS, target)]
    if not is_in_disabled:
        wanted.append((LOW, "LessThanThreshold", IN_PERIODS, target * IN_SHARE))
    cloudwatch = cloudwatch_backends[self.account_id][self.region_name]
    return [
        cloudwatch.put_metric_alarm(
            name=f"TargetTracking-{self.resource_id}-{which}-{mock_random.uuid4()}",
            comparison_operator=comparison,
            evaluation_periods=periods,
            period=60,
            threshold=threshold,
            description=f"DO NOT EDIT OR DELETE. For TargetTrackingScaling {self.policy_arn}.",
            alarm_actions=[self.policy_arn],
            **metric_of(config, self.resource_id),
        )
        for which, comparison, periods, threshold in wanted
    ]


def _put_again(self: ApplicationAutoscalingBackend, **given: Any) -> Any:
    """Keeps the ARN of a policy that is put again, since alarms name it; deletes its old alarms."""
    key = FakeApplicationAutoscalingPolicy.formulate_key(
        given["service_namespace"], given["resource_id"], given["scalable_dimension"],
        given["policy_name"],
    )  # fmt: skip
    before = self.policies.get(key)
    policy = _put(self, **given)
    if before is not None:
        before.delete_alarms(self.account_id, self.region_name)
        policy.policy_arn = before.policy_arn
        for alarm in policy.alarms:
            alarm.alarm_actions = [policy.policy_arn]
    return policy
