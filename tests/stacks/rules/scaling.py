"""How many ECS tasks run."""

from service.contract import METRIC_NAMESPACE, QUEUE_NAME, Metric, MetricDimension, ProcessName
from tests.stacks.rules.monitoring import ALARM, ALARMS, source
from tests.stacks.templates import Templates

TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"


def bounds_are_as_configured(templates: Templates) -> None:
    """The bounds are configuration's, the count the autoscaler's."""
    stage = templates.stage
    found = {
        process: (each.get("MinCapacity"), each.get("MaxCapacity"))
        for each in templates.all(TARGET)
        for process in (ProcessName.API, ProcessName.WORKER)
        if process in str(each.get("ResourceId")).lower()
    }
    assert found == {
        ProcessName.API: (stage.api_min_count, stage.api_max_count),
        ProcessName.WORKER: (stage.worker_min_count, stage.worker_max_count),
    }
    for each in templates.all(TARGET):
        assert each.get("ScalableDimension") == "ecs:service:DesiredCount"
        assert each.get("ServiceNamespace") == "ecs"


def api_scales_by_requests_and_cpu(templates: Templates) -> None:
    """By requests and CPU of each ECS task, whichever asks for more."""
    found = {
        each.get(f"{TRACKING}.PredefinedMetricSpecification.PredefinedMetricType"): each
        for each in templates.all(POLICY, "ApiService")
    }
    assert set(found) == {"ALBRequestCountPerTarget", "ECSServiceAverageCPUUtilization"}
    stage = templates.stage
    targets = {kind: each.get(f"{TRACKING}.TargetValue") for kind, each in found.items()}
    assert targets["ALBRequestCountPerTarget"] == stage.api_requests_target
    assert targets["ECSServiceAverageCPUUtilization"] == stage.api_cpu_target_percent
    for each in found.values():
        assert 0 < each.get(f"{TRACKING}.ScaleOutCooldown") <= 60
        assert 300 <= each.get(f"{TRACKING}.ScaleInCooldown") <= 1800
        assert each.get("PolicyType") == "TargetTrackingScaling"
    label = f"{TRACKING}.PredefinedMetricSpecification.ResourceLabel"
    assert "DoorApi" in str(found["ALBRequestCountPerTarget"].get(label))


TRACKING = "TargetTrackingScalingPolicyConfiguration"
STEPS = "StepScalingPolicyConfiguration"


def worker_scales_by_its_queue_and_never_by_cpu(templates: Templates) -> None:
    """CPU would take away workers that wait for others with a full queue."""
    policies = templates.all(POLICY, "WorkerScaling")
    assert "CPU" not in str([each.properties for each in policies])
    (tracking,) = (each for each in policies if each.get("PolicyType") == "TargetTrackingScaling")
    metric = tracking.get(f"{TRACKING}.CustomizedMetricSpecification")
    assert metric["MetricName"] == Metric.JOBS_PER_WORKER
    assert metric["Namespace"] == METRIC_NAMESPACE
    assert metric["Statistic"] == "Maximum"
    assert {each["Name"]: each["Value"] for each in metric["Dimensions"]} == {
        MetricDimension.APP: templates.stage.app_name,
        MetricDimension.QUEUE: QUEUE_NAME,
        MetricDimension.STAGE: templates.stage.stage,
    }
    assert tracking.get(f"{TRACKING}.TargetValue") == templates.stage.worker_jobs_target
    assert tracking.get(f"{TRACKING}.DisableScaleIn") is None
    assert 0 < tracking.get(f"{TRACKING}.ScaleOutCooldown") <= 60
    assert 300 <= tracking.get(f"{TRACKING}.ScaleInCooldown") <= 1800
    for each in policies:
        if each is not tracking:
            assert each.get("PolicyType") == "StepScaling"
            assert each.get(f"{STEPS}.MetricAggregationType") == "Maximum"
            assert 0 < each.get(f"{STEPS}.Cooldown") <= 60


def old_jobs_call_for_more_workers(templates: Templates) -> None:
    """One more, and three more when it is twice too late, within two minutes."""
    action = templates.one(POLICY, "WorkerScalingAddWorkers")
    limit = templates.stage.worker_age_target_seconds
    assert action.get(f"{STEPS}.AdjustmentType") == "ChangeInCapacity"
    assert action.get(f"{STEPS}.StepAdjustments") == [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": limit, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": limit, "ScalingAdjustment": 3},
    ]
    alarm = templates.one(ALARM, "WorkerScalingOldJobs")
    assert alarm.get("AlarmActions") == [{"Ref": action.id}]
    assert source(alarm) == ALARMS["QueueOldestJobAge"][0]
    assert alarm.get("Threshold") == limit
    assert alarm.get("ComparisonOperator") == "GreaterThanThreshold"
    assert alarm.get("EvaluationPeriods") == 1
    assert alarm.get("Period") == 60
    assert alarm.get("TreatMissingData") == "notBreaching"


def one_job_wakes_a_worker_from_zero(templates: Templates) -> None:
    """Its own alarm, on jobs that wait while nobody works, setting the count to one."""
    found = [each for each in templates if each.id.startswith("WorkerScalingWake")]
    if templates.stage.worker_min_count:
        assert found == []
        return
    (action,) = found
    assert action.get(f"{STEPS}.AdjustmentType") == "ExactCapacity"
    assert action.get(f"{STEPS}.StepAdjustments") == [
        {"MetricIntervalLowerBound": 0, "ScalingAdjustment": 1}
    ]
    alarm = templates.one(ALARM, "WorkerScalingNobodyWorks")
    assert alarm.get("AlarmActions") == [{"Ref": action.id}]
    assert alarm.get("Threshold") == 1
    assert alarm.get("ComparisonOperator") == "GreaterThanOrEqualToThreshold"
    assert alarm.get("EvaluationPeriods") == 1
    assert alarm.get("TreatMissingData") == "notBreaching"
    assert source(alarm) == ALARMS["QueueNoWorker"][0]
