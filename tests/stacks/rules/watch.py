"""Logs, alarms, events and scaling."""

import re

from service.contract import METRIC_NAMESPACE, QUEUE_NAME, Metric, MetricDimension, ProcessName
from stacks.checks import CONNECTION_SHARE, max_connections
from tests.conftest import ROOT
from tests.stacks.rules.data import is_the_key
from tests.stacks.templates import Resource, Templates

ALARM, TOPIC, LOGS = "AWS::CloudWatch::Alarm", "AWS::SNS::Topic", "AWS::Logs::LogGroup"
TARGET = "AWS::ApplicationAutoScaling::ScalableTarget"
POLICY = "AWS::ApplicationAutoScaling::ScalingPolicy"
SCALING_ALARMS = ("WorkerScaling",)

# What each alarm watches: threshold, minutes, out of how many, and what silence means.
ALARMS = {
    "QueueOldestJobAge": (300, 5, 5, "notBreaching"),
    "QueueNoWorker": (0, 5, 5, "notBreaching"),
    "QueueNoMetrics": (0, 5, 5, "breaching"),
    "QueueDeadLetters": (0, 1, 1, "notBreaching"),
    "QueueFailedJobs": (10, 3, 5, "notBreaching"),
    "QueueRetriedJobs": (50, 5, 5, "notBreaching"),
    "QueueListenAge": (60, 3, 3, "notBreaching"),
    "QueueWrongCredentials": (100, 5, 5, "notBreaching"),
    "TrafficBalancerErrors": (5, 3, 5, "notBreaching"),
    "TrafficApiErrors": (5, 3, 5, "notBreaching"),
    "TrafficApiLatency": (1, 5, 5, "notBreaching"),
    "TrafficRejectedConnections": (0, 1, 1, "notBreaching"),
    "TrafficUnhealthyApi": (0, 5, 5, "notBreaching"),
    "TrafficApiTasksMissing": (0, 5, 5, "breaching"),
    "TrafficWorkerTasksMissing": (0, 5, 5, "breaching"),
    "TrafficFirewallBlocks": (1000, 5, 5, "notBreaching"),
    "DatabaseDatabaseCapacity": (90, 10, 10, "notBreaching"),
    "DatabaseDatabaseConnections": (None, 5, 5, "notBreaching"),
    "DatabaseDatabaseDeadlocks": (0, 3, 5, "notBreaching"),
    "DatabaseDatabaseTransactionAge": (1_000_000_000, 5, 5, "notBreaching"),
    "DatabaseDatabaseReplicaLag": (1000, 5, 5, "breaching"),
}


def name(resource: Resource) -> str:
    """The logical id without CDK's hash."""
    return resource.id[:-8]


def alarms(templates: Templates) -> list[Resource]:
    return [each for each in templates.all(ALARM) if not each.id.startswith(SCALING_ALARMS)]


def wanted_alarms(templates: Templates) -> set[str]:
    absent = set()
    if not templates.stage.web_firewall:
        absent.add("TrafficFirewallBlocks")
    if not templates.stage.database_reader:
        absent.add("DatabaseDatabaseReplicaLag")
    return set(ALARMS) - absent


def every_alarm_is_there_and_as_sharp_as_written(templates: Templates) -> None:
    """FACTS 7: thresholds, times and the meaning of silence."""
    found = {name(each): each for each in alarms(templates)}
    assert set(found) == wanted_alarms(templates)
    for id, alarm in found.items():
        threshold, minutes, of, missing = ALARMS[id]
        if threshold is None:
            threshold = int(CONNECTION_SHARE * max_connections(templates.stage))
        assert alarm.get("Threshold") == threshold, id
        assert alarm.get("DatapointsToAlarm") == minutes, id
        assert alarm.get("EvaluationPeriods") == of, id
        assert alarm.get("TreatMissingData") == missing, id
        direction = "LessThanThreshold" if id == "QueueNoMetrics" else "GreaterThanThreshold"
        assert alarm.get("ComparisonOperator") == direction, id
        periods = re.findall(r"'Period': (\d+)", str(alarm.properties))
        assert periods, id
        assert set(periods) == {"60"}, id


def every_alarm_reaches_somebody_twice(templates: Templates) -> None:
    """CloudWatch.15, CKV_AWS_319: when it begins and when it is over."""
    topic = [{"Ref": templates.one(TOPIC).id}]
    for alarm in alarms(templates):
        assert alarm.get("AlarmActions") == topic
        assert alarm.get("OKActions") == topic
        assert alarm.get("ActionsEnabled") is not False


def every_alarm_has_its_section_in_the_runbook(templates: Templates) -> None:
    """What to look at and what to do, for each alarm and event."""
    runbook = (ROOT / "docs/runbook.md").read_text()
    told = [each.get("AlarmDescription") for each in alarms(templates)]
    told += [each.get("Description") for each in templates.all("AWS::Events::Rule")]
    for text in told:
        anchor = text.rpartition("#")[2]
        assert f"{templates.stage.runbook_url}#{anchor}" in text
        assert f"\n## {anchor}\n" in runbook, anchor


def queue_metrics_are_those_of_the_contract(templates: Templates) -> None:
    """The service writes them under these names and dimensions, or the alarm is deaf."""
    dimensions = [
        {"Name": MetricDimension.APP, "Value": templates.stage.app_name},
        {"Name": MetricDimension.QUEUE, "Value": QUEUE_NAME},
        {"Name": MetricDimension.STAGE, "Value": templates.stage.stage},
    ]
    seen = set()
    for alarm in templates.all(ALARM):
        parts = [alarm.properties] + [
            each["MetricStat"]["Metric"]
            for each in alarm.get("Metrics") or []
            if "MetricStat" in each
        ]
        for part in parts:
            metric = part.get("MetricName", "")
            if part.get("Namespace") == METRIC_NAMESPACE and "WrongCredentials" not in metric:
                assert part["Dimensions"] == dimensions, alarm.id
                seen.add(metric)
    assert seen <= set(Metric)
    assert seen >= {Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS, Metric.WORKERS_ALIVE}


def attempts_with_wrong_credentials_are_counted(templates: Templates) -> None:
    """FACTS 6, 7: by the very words that the API logs."""
    found = templates.one("AWS::Logs::MetricFilter")
    assert found.get("FilterPattern") == '{ $.event = "wrong credentials" }'
    assert found.get("LogGroupName")["Ref"].startswith("ApiLog")
    (transformation,) = found.get("MetricTransformations")
    alarm = templates.one(ALARM, "QueueWrongCredentials")
    assert transformation["MetricName"] == alarm.get("MetricName")
    assert transformation["MetricNamespace"] == alarm.get("Namespace") == METRIC_NAMESPACE
    assert transformation["MetricValue"] == "1"


def trouble_without_a_metric_is_told_too(templates: Templates) -> None:
    """Failed deployments, memory, failover: events that go to the topic."""
    topic = {"Ref": templates.one(TOPIC).id}
    rules = {name(each): each for each in templates.all("AWS::Events::Rule")}
    assert set(rules) == {"TrafficDeploymentFailed", "TrafficOutOfMemory"}
    for rule in rules.values():
        assert rule.get("State") == "ENABLED"
        assert [target["Arn"] for target in rule.get("Targets")] == [topic]
        assert rule.get("EventPattern.source") == ["aws.ecs"]
    failed = rules["TrafficDeploymentFailed"].get("EventPattern")
    assert failed["detail"] == {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]}
    assert len(failed["resources"]) == 2
    memory = rules["TrafficOutOfMemory"].get("EventPattern.detail")
    assert memory["containers"] == {"reason": [{"prefix": "OutOfMemoryError"}]}
    events = templates.one("AWS::RDS::EventSubscription")
    assert events.get("SnsTopicArn") == topic
    assert events.get("SourceType") == "db-cluster"
    assert {"failover", "failure"} <= set(events.get("EventCategories"))
    assert events.get("Enabled") is not False


def alarms_travel_encrypted(templates: Templates) -> None:
    """SNS.1, CKV_AWS_26: with our key, or CloudWatch could not publish; over TLS only."""
    assert is_the_key(templates.one(TOPIC).get("KmsMasterKeyId"))
    statements = templates.one("AWS::SNS::TopicPolicy").get("PolicyDocument.Statement")
    (denied,) = (each for each in statements if each["Effect"] == "Deny")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["Principal"] == "*"


def logs_are_encrypted_and_end(templates: Templates) -> None:
    """CloudWatch.16, CKV_AWS_66, CKV_AWS_158, CKV_AWS_338 in prod."""
    for group in templates.all(LOGS):
        assert is_the_key(group.get("KmsKeyId")), group.id
        assert group.get("RetentionInDays") == templates.stage.log_retention_days, group.id


def bounds_are_as_configured(templates: Templates) -> None:
    """S0.10: the bounds are configuration's, the count the autoscaler's."""
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
    """FACTS 2.7."""
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
        assert each.get(f"{TRACKING}.ScaleInCooldown") >= 300


TRACKING = "TargetTrackingScalingPolicyConfiguration"
STEPS = "StepScalingPolicyConfiguration"


def worker_scales_by_its_queue_and_never_by_cpu(templates: Templates) -> None:
    """FACTS 2.7: CPU would take away workers that wait for others with a full queue."""
    policies = templates.all(POLICY, "WorkerScaling")
    assert "CPU" not in str([each.properties for each in policies])
    (tracking,) = (each for each in policies if each.get("PolicyType") == "TargetTrackingScaling")
    metric = tracking.get(f"{TRACKING}.CustomizedMetricSpecification")
    assert metric["MetricName"] == Metric.JOBS_PER_WORKER
    assert metric["Namespace"] == METRIC_NAMESPACE
    assert {each["Name"] for each in metric["Dimensions"]} == set(MetricDimension)
    assert tracking.get(f"{TRACKING}.TargetValue") == templates.stage.worker_jobs_target
    assert tracking.get(f"{TRACKING}.DisableScaleIn") is None
    assert 0 < tracking.get(f"{TRACKING}.ScaleOutCooldown") <= 60
    assert tracking.get(f"{TRACKING}.ScaleInCooldown") >= 300


def old_jobs_call_for_more_workers(templates: Templates) -> None:
    """One more, and three more when it is twice too late, within two minutes."""
    action = templates.one(POLICY, "WorkerScalingAddWorkers")
    limit = templates.stage.worker_age_target_seconds
    assert action.get(f"{STEPS}.AdjustmentType") == "ChangeInCapacity"
    assert action.get(f"{STEPS}.StepAdjustments") == [
        {"MetricIntervalLowerBound": 0, "MetricIntervalUpperBound": limit, "ScalingAdjustment": 1},
        {"MetricIntervalLowerBound": limit, "ScalingAdjustment": 3},
    ]
    assert action.get(f"{STEPS}.Cooldown") <= 60
    alarm = templates.one(ALARM, "WorkerScalingOldJobs")
    assert alarm.get("AlarmActions") == [{"Ref": action.id}]
    assert alarm.get("MetricName") == Metric.OLDEST_JOB_AGE_SECONDS
    assert alarm.get("Threshold") == limit
    assert alarm.get("ComparisonOperator") == "GreaterThanThreshold"
    assert alarm.get("EvaluationPeriods") == 1
    assert alarm.get("Period") == 60
    assert alarm.get("TreatMissingData") == "notBreaching"


def one_job_wakes_a_worker_from_zero(templates: Templates) -> None:
    """FACTS 2.7: its own alarm, on jobs that wait while nobody works, setting the count to one."""
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
    (expression,) = (each["Expression"] for each in alarm.get("Metrics") if "Expression" in each)
    assert expression == "IF(alive < 1, backlog, 0)"
