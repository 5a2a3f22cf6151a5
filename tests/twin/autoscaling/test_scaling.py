"""Alarms, policies and metrics of the twin on moto's own state, through AWS's APIs."""

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts.twin.autoscaling import scheduled_actions
from scripts.twin.autoscaling.autoscaler import Scaling
from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS
from scripts.twin.cloudwatch.metric_data import KEPT, Point, put
from scripts.twin.cloudwatch.metrics import Metrics
from service import metrics
from service.contract import METRIC_NAMESPACE, Metric, MetricDimension
from tests.twin.stand import a_twin, client, cloud

RESOURCE = "service/shop/worker"
WHERE = {
    "ServiceNamespace": "ecs",
    "ResourceId": RESOURCE,
    "ScalableDimension": "ecs:service:DesiredCount",
}
DIMENSIONS = {
    MetricDimension.APP: "moorage",
    MetricDimension.STAGE: "local",
    MetricDimension.QUEUE: "default",
}
IN_LIST = [{"Name": name, "Value": value} for name, value in DIMENSIONS.items()]


class Stage:
    """An ECS service with a scalable target, and a clock that ends a minute whenever it is told."""

    def __init__(self, backends: Backends, home: Path) -> None:
        self.backends = backends
        self.scaling = Scaling(backends, a_twin(home), None)
        self.now = time.time() // MINUTE_SECONDS * MINUTE_SECONDS
        ecs = client("ecs")
        ecs.create_cluster(clusterName="shop")
        ecs.register_task_definition(
            family="worker", containerDefinitions=[{"name": "main", "image": "x", "memory": 8}]
        )
        ecs.create_service(
            cluster="shop", serviceName="worker", taskDefinition="worker", desiredCount=1
        )
        self.bound(1, 4)

    def bound(self, lowest: int, highest: int, **given: Any) -> None:
        client("application-autoscaling").register_scalable_target(
            **WHERE, MinCapacity=lowest, MaxCapacity=highest, **given
        )
        self.scaling.keep_bounds()

    def track(self, name: str = "Jobs", **given: Any) -> str:
        config = {
            "TargetValue": 10.0, "ScaleOutCooldown": 60, "ScaleInCooldown": 300,
            "CustomizedMetricSpecification": {
                "Namespace": METRIC_NAMESPACE, "MetricName": Metric.JOBS_PER_WORKER,
                "Dimensions": IN_LIST, "Statistic": "Maximum",
            },
            **given,
        }  # fmt: skip
        answer = client("application-autoscaling").put_scaling_policy(
            **WHERE, PolicyName=name, PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration=config,
        )  # fmt: skip
        return str(answer["PolicyARN"])

    def wake_by_alarm(self) -> None:
        """One worker where jobs wait and none is alive, as stacks/service/scaling.py has it."""
        arn = client("application-autoscaling").put_scaling_policy(
            **WHERE, PolicyName="Wake", PolicyType="StepScaling",
            StepScalingPolicyConfiguration={
                "AdjustmentType": "ExactCapacity", "Cooldown": 60,
                "StepAdjustments": [{"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}],
            },
        )["PolicyARN"]  # fmt: skip
        stats = [
            {"Id": id, "ReturnData": False, "MetricStat": {
                "Metric": {
                    "Namespace": METRIC_NAMESPACE, "MetricName": name, "Dimensions": IN_LIST,
                },
                "Period": 60, "Stat": "Maximum",
            }}
            for id, name in (("alive", Metric.WORKERS_ALIVE), ("backlog", Metric.BACKLOG))
        ]  # fmt: skip
        client("cloudwatch").put_metric_alarm(
            AlarmName="nobody-works", Metrics=[
                {"Id": "expr_1", "Expression": "IF(alive < 1, backlog, 0)", "ReturnData": True},
                *stats,
            ],
            ComparisonOperator="GreaterThanOrEqualToThreshold", Threshold=1, EvaluationPeriods=1,
            TreatMissingData="notBreaching", AlarmActions=[arn],
        )  # fmt: skip

    def minute(self, times: int = 1, **values: float) -> None:
        """So many minutes with these values in each, looked at at the end of each."""
        for _ in range(times):
            at = datetime.fromtimestamp(self.now + 1, UTC).replace(tzinfo=None)
            points: list[Point] = [(Metric[k], DIMENSIONS, each) for k, each in values.items()]
            put(self.backends.cloudwatch, METRIC_NAMESPACE, points, at=at)
            self.now += MINUTE_SECONDS
            self.scaling.evaluate(self.now + 0.1)

    @property
    def count(self) -> int:
        found = client("ecs").describe_services(cluster="shop", services=["worker"])["services"]
        return int(found[0]["desiredCount"])

    def set(self, count: int) -> None:
        client("ecs").update_service(cluster="shop", service="worker", desiredCount=count)

    def activities(self) -> list[dict[str, Any]]:
        answer = client("application-autoscaling").describe_scaling_activities(**WHERE)
        return list(answer["ScalingActivities"])

    def alarm(self, part: str) -> dict[str, Any]:
        shown = client("cloudwatch").describe_alarms()["MetricAlarms"]
        (found,) = (each for each in shown if part in each["AlarmName"])
        return dict(found)


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[Stage]:
    with cloud() as backends:
        yield Stage(backends, tmp_path)


def test_backlog_grows_the_workers_after_three_minutes_and_not_before(stage: Stage) -> None:
    stage.track()
    stage.minute(2, JOBS_PER_WORKER=25)
    assert stage.count == 1
    stage.minute(JOBS_PER_WORKER=25)
    assert stage.count == 3
    shown = stage.alarm("AlarmHigh")
    assert shown["StateValue"] == "ALARM"
    assert "were greater than the threshold (10)" in shown["StateReason"]
    (activity,) = stage.activities()
    assert activity["Description"] == "Setting desired count to 3."
    name = shown["AlarmName"]
    assert activity["Cause"] == f"monitor alarm {name} in state ALARM triggered policy Jobs"
    assert activity["StatusMessage"].startswith("Successfully set desired count to 3.")


def test_count_never_leaves_its_bounds(stage: Stage) -> None:
    stage.track()
    stage.minute(3, JOBS_PER_WORKER=1000)
    assert stage.count == 4


def test_idle_workers_go_after_fifteen_minutes_and_not_before(stage: Stage) -> None:
    stage.track()
    stage.set(4)
    stage.minute(14, JOBS_PER_WORKER=1)
    assert stage.count == 4
    stage.minute(JOBS_PER_WORKER=1)
    assert stage.count == 1


def test_workers_stay_while_the_metric_is_near_its_target(stage: Stage) -> None:
    stage.track()
    stage.set(4)
    stage.minute(20, JOBS_PER_WORKER=9.5)
    assert stage.count == 4


def test_nobody_goes_while_another_policy_wants_them(stage: Stage) -> None:
    stage.track()
    stage.track("Cpu", CustomizedMetricSpecification={
        "Namespace": METRIC_NAMESPACE, "MetricName": Metric.BACKLOG, "Dimensions": IN_LIST,
        "Statistic": "Maximum",
    })  # fmt: skip
    stage.set(4)
    stage.minute(20, JOBS_PER_WORKER=0, BACKLOG=9.5)
    assert stage.count == 4
    stage.minute(15, JOBS_PER_WORKER=0, BACKLOG=0)
    assert stage.count == 1


def test_scaling_in_rests_between_two_times(stage: Stage) -> None:
    stage.track()
    stage.bound(0, 4)
    stage.set(4)
    stage.minute(15, JOBS_PER_WORKER=6)
    assert stage.count == 3
    stage.minute(4, JOBS_PER_WORKER=6)
    assert stage.count == 3
    stage.minute(JOBS_PER_WORKER=6)
    assert stage.count == 2


def test_one_waiting_job_wakes_the_first_worker(stage: Stage) -> None:
    stage.track()
    stage.wake_by_alarm()
    stage.bound(0, 4)
    stage.set(0)
    stage.minute(20, WORKERS_ALIVE=0, BACKLOG=0, JOBS_PER_WORKER=0)
    assert stage.count == 0
    stage.minute(WORKERS_ALIVE=0, BACKLOG=1, JOBS_PER_WORKER=1)
    assert stage.count == 1
    assert stage.alarm("nobody-works")["StateValue"] == "ALARM"
    stage.minute(WORKERS_ALIVE=1, BACKLOG=1, JOBS_PER_WORKER=1)
    assert stage.alarm("nobody-works")["StateValue"] == "OK"


def test_moved_bounds_move_the_count(stage: Stage) -> None:
    stage.bound(3, 3)
    assert stage.count == 3
    stage.bound(1, 2)
    assert stage.count == 2
    causes = [each["Cause"] for each in stage.activities()]
    assert causes == ["maximum capacity was set to 2", "minimum capacity was set to 3"]


def test_scheduled_action_brings_its_bounds_once_at_its_time(stage: Stage) -> None:
    stage.bound(3, 3)
    client("application-autoscaling").put_scheduled_action(
        **WHERE, ScheduledActionName="revert", Schedule="at(2026-11-22T07:00:00)",
        ScalableTargetAction={"MinCapacity": 1, "MaxCapacity": 2},
    )  # fmt: skip
    for minute, count in ((59, 3), (60, 2)):
        now = datetime(2026, 11, 22, 6, 0, tzinfo=UTC) + timedelta(minutes=minute)
        scheduled_actions.apply_due(stage.backends.autoscaling, now)
        stage.scaling.keep_bounds()
        assert stage.count == count
    assert stage.backends.autoscaling.scheduled_actions == []


def test_count_outside_the_bounds_stays_until_something_happens(stage: Stage) -> None:
    stage.track()
    stage.set(0)
    stage.scaling.keep_bounds()
    assert stage.count == 0, "as AWS leaves what an operator sets"


def test_suspended_scaling_does_nothing(stage: Stage) -> None:
    stage.track()
    stage.bound(1, 4, SuspendedState={"DynamicScalingOutSuspended": True})
    stage.minute(5, JOBS_PER_WORKER=100)
    assert stage.count == 1
    stage.bound(1, 4, SuspendedState={"DynamicScalingInSuspended": True})
    stage.minute(JOBS_PER_WORKER=100)
    assert stage.count == 4
    stage.minute(30, JOBS_PER_WORKER=0)
    assert stage.count == 4


def test_policy_that_is_put_again_keeps_its_arn_and_no_old_alarms(stage: Stage) -> None:
    arn = stage.track()
    assert stage.track(TargetValue=50.0) == arn
    assert stage.alarm("AlarmHigh")["Threshold"] == 50
    assert stage.alarm("AlarmLow")["AlarmActions"] == [arn]
    stage.minute(3, JOBS_PER_WORKER=100)
    assert stage.count == 2


def test_missing_data_is_no_reason_to_scale(stage: Stage) -> None:
    stage.track()
    stage.set(4)
    stage.minute(20)
    assert stage.count == 4
    assert stage.alarm("AlarmLow")["StateValue"] == "INSUFFICIENT_DATA"


def test_expression_that_the_twin_does_not_know_is_said_once(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    metric = {"Namespace": "x", "MetricName": "y", "Dimensions": []}
    client("cloudwatch").put_metric_alarm(
        AlarmName="odd", ComparisonOperator="GreaterThanThreshold", Threshold=1,
        EvaluationPeriods=1, Metrics=[
            {"Id": "a", "Expression": "RATE(b)", "ReturnData": True},
            {"Id": "b", "ReturnData": False,
             "MetricStat": {"Metric": metric, "Period": 60, "Stat": "Sum"}},
        ],
    )  # fmt: skip
    stage.minute(3)
    assert stage.alarm("odd")["StateValue"] == "INSUFFICIENT_DATA"
    assert "cannot evaluate 'RATE(b)'" in stage.alarm("odd")["StateReason"]
    assert len([each for each in caplog.messages if "RATE(b)" in each]) == 1


def test_requests_and_cpu_are_tracked_by_the_metrics_that_aws_has_for_them(stage: Stage) -> None:
    label = "app/door/1/targetgroup/api/2"
    for name, predefined in (
        ("Requests", {"PredefinedMetricType": "ALBRequestCountPerTarget", "ResourceLabel": label}),
        ("Cpu", {"PredefinedMetricType": "ECSServiceAverageCPUUtilization"}),
    ):
        client("application-autoscaling").put_scaling_policy(
            **WHERE, PolicyName=name, PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 60.0, "PredefinedMetricSpecification": predefined,
            },
        )  # fmt: skip
    shown = client("cloudwatch").describe_alarms()["MetricAlarms"]
    found = {
        (each["Namespace"], each["MetricName"], each["Statistic"]): {
            pair["Name"]: pair["Value"] for pair in each["Dimensions"]
        }
        for each in shown
    }
    assert found == {
        ("AWS/ApplicationELB", "RequestCountPerTarget", "Sum"): {
            "LoadBalancer": "app/door/1", "TargetGroup": "targetgroup/api/2",
        },
        ("AWS/ECS", "CPUUtilization", "Average"): {
            "ClusterName": "shop", "ServiceName": "worker",
        },
    }  # fmt: skip


def test_lines_of_metrics_become_points_when_they_are_logged(stage: Stage, tmp_path: Path) -> None:
    Metrics(stage.backends, a_twin(tmp_path), None)
    logs = client("logs")
    logs.create_log_group(logGroupName="g")
    logs.create_log_stream(logGroupName="g", logStreamName="s")
    now = int(time.time() * 1000)
    line = metrics.render(DIMENSIONS, {Metric.BACKLOG: 3, Metric.OLDEST_JOB_AGE_SECONDS: 1.5},
                          milliseconds=now)  # fmt: skip
    broken = json.dumps({"_aws": {"Timestamp": now, "CloudWatchMetrics": [{"Namespace": "x"}]}})
    events = [{"timestamp": now, "message": each} for each in ("plain", "{}", broken, line)]
    logs.put_log_events(logGroupName="g", logStreamName="s", logEvents=events)
    queries = [
        {"Id": f"m{n}", "MetricStat": {
            "Metric": {"Namespace": METRIC_NAMESPACE, "MetricName": name, "Dimensions": IN_LIST},
            "Period": 60, "Stat": "Maximum",
        }}
        for n, name in enumerate((Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS))
    ]  # fmt: skip
    about = datetime.now(UTC)
    answer = client("cloudwatch").get_metric_data(
        MetricDataQueries=queries,
        StartTime=about - timedelta(minutes=5), EndTime=about + timedelta(minutes=5),
    )  # fmt: skip
    assert [each["Values"] for each in answer["MetricDataResults"]] == [[3], [1.5]]
    (shown,) = client("cloudwatch").list_metrics(MetricName=Metric.BACKLOG)["Metrics"]
    assert {each["Name"] for each in shown["Dimensions"]} == DIMENSIONS.keys()


def test_old_points_are_let_go(stage: Stage) -> None:
    old = datetime.now(UTC).replace(tzinfo=None) - KEPT - timedelta(seconds=1)
    for _ in range(3):
        put(stage.backends.cloudwatch, "x", [("y", {}, 1)], at=old)
    assert not stage.backends.cloudwatch.metric_data
    put(stage.backends.cloudwatch, "x", [("y", {}, 1)])
    assert len(stage.backends.cloudwatch.metric_data) == 1


def test_history_of_an_alarm_is_bounded(stage: Stage) -> None:
    stage.track()
    for value in [100, 0] * 120:
        stage.minute(3, JOBS_PER_WORKER=value)
    (high,) = (each for name, each in stage.backends.cloudwatch.alarms.items() if "High" in name)
    assert 50 < len(high.history) <= 100
