"""Logs, alarms, events and scaling."""

import re
from typing import Any

from service.contract import METRIC_NAMESPACE, QUEUE_NAME, Metric, MetricDimension
from stacks.config.connections import CONNECTION_SHARE, max_connections
from stacks.config.stage import Stage
from tests.conftest import ROOT
from tests.stacks.rules.data import is_the_key
from tests.stacks.templates import Resource, Templates

ALARM, TOPIC, LOGS = "AWS::CloudWatch::Alarm", "AWS::SNS::Topic", "AWS::Logs::LogGroup"
SCALING_ALARMS = "WorkerScaling"

BALANCER, TARGETS = "LoadBalancer", "LoadBalancer,TargetGroup"
OURS = "App,Queue,Stage"

# What each alarm watches, the threshold, minutes, out of how many, and what silence means; None is
# what `by_configuration` says.
ALARMS = {
    "QueueOldestJobAge": (
        f"Moorage OldestJobAgeSeconds Maximum {OURS}", None, 5, 5, "notBreaching",
    ),
    "QueueNoWorker": (
        f"IF(alive < 1, backlog, 0); alive=Moorage WorkersAlive Maximum {OURS};"
        f" backlog=Moorage Backlog Maximum {OURS}", 0, None, None, "notBreaching",
    ),
    "QueueNoMetrics": (
        f"FILL(spoken, REPEAT) - spoken; spoken=Moorage WorkersAlive SampleCount {OURS}",
        0, 8, 10, "ignore",
    ),
    "QueueDeadLetters": (f"Moorage DeadLetters Sum {OURS}", 0, 1, 1, "notBreaching"),
    "QueueFailedJobs": (
        "IF(failed + finished >= 10, 100 * failed / (failed + finished), 0);"
        f" failed=Moorage JobsFailed Sum {OURS}; finished=Moorage JobsFinished Sum {OURS}",
        10, 3, 5, "notBreaching",
    ),
    "QueueRetriedJobs": (
        f"IF(started >= 10, 100 * retried / started, 0); retried=Moorage JobsRetried Sum {OURS};"
        f" started=Moorage JobsStarted Sum {OURS}", 50, 5, 5, "notBreaching",
    ),
    "QueueListenAge": (f"Moorage ListenAgeSeconds Maximum {OURS}", 60, 3, 3, "notBreaching"),
    "QueueWrongCredentials": ("Moorage WrongCredentials-{prefix} Sum ", 100, 5, 5, "notBreaching"),
    "TrafficBalancerErrors": (
        f"errors - nobody; errors=AWS/ApplicationELB HTTPCode_ELB_5XX_Count Sum {BALANCER};"
        f" nobody=AWS/ApplicationELB HTTPCode_ELB_503_Count Sum {BALANCER}",
        5, 3, 5, "notBreaching",
    ),
    "TrafficNoTarget": (
        f"AWS/ApplicationELB HTTPCode_ELB_503_Count Sum {BALANCER}", 5, 3, 5, "notBreaching",
    ),
    "TrafficApiErrors": (
        f"AWS/ApplicationELB HTTPCode_Target_5XX_Count Sum {TARGETS}", 5, 3, 5, "notBreaching",
    ),
    "TrafficApiLatency": (
        f"AWS/ApplicationELB TargetResponseTime p99 {TARGETS}", 1, 5, 5, "notBreaching",
    ),
    "TrafficRejectedConnections": (
        f"AWS/ApplicationELB RejectedConnectionCount Sum {BALANCER}", 0, 1, 1, "notBreaching",
    ),
    "TrafficUnhealthyApi": (
        f"AWS/ApplicationELB UnHealthyHostCount Maximum {TARGETS}", 0, 5, 5, "notBreaching",
    ),
    "TrafficApiTasksMissing": (None, 0, 12, 15, None),
    "TrafficWorkerTasksMissing": (None, 0, 12, 15, None),
    "TrafficFirewallBlocks": (
        "AWS/WAFV2 BlockedRequests Sum Region,Rule,WebACL", 1000, 5, 5, "notBreaching",
    ),
    "DatabaseDatabaseCapacity": (None, 90, 10, 10, "notBreaching"),
    "DatabaseDatabaseConnections": (
        "AWS/RDS DatabaseConnections Maximum DBClusterIdentifier,Role", None, 5, 5, "notBreaching",
    ),
    "DatabaseDatabaseDeadlocks": (
        "AWS/RDS Deadlocks Sum DBClusterIdentifier,Role", 0, 3, 5, "notBreaching",
    ),
    "DatabaseDatabaseTransactionAge": (
        "AWS/RDS MaximumUsedTransactionIDs Maximum DBClusterIdentifier,Role",
        1_000_000_000, 5, 5, "notBreaching",
    ),
    "DatabaseDatabaseReplicaLag": (
        "AWS/RDS AuroraReplicaLagMaximum Maximum DBClusterIdentifier", 1000, 5, 5, "notBreaching",
    ),
    "DatabaseDatabaseReaderGone": (
        "FILL(spoken, REPEAT) - spoken;"
        " spoken=AWS/RDS CPUUtilization SampleCount DBClusterIdentifier,Role",
        0, 8, 10, "ignore",
    ),
}  # fmt: skip

# Whose figures they are: what a dimension's value refers to.
DIMENSIONS = {
    "LoadBalancer": "DoorBalancer",
    "TargetGroup": "DoorApi",
    "DBClusterIdentifier": "DatabaseCluster",
    "Role": "ER",  # WRITER or READER
    "Rule": "ALL",
    "Region": "AWS::Region",
    "ClusterName": "-cluster",
    "ServiceName": "-service",
    "WebACL": "-",
}


def source(alarm: Resource) -> str:
    """What an alarm watches, in one line: namespace, metric, statistic and dimensions."""
    if not alarm.get("Metrics"):
        statistic = alarm.get("Statistic") or alarm.get("ExtendedStatistic")
        return _metric(alarm.properties, statistic)
    found: list[str] = []
    for each in alarm.get("Metrics"):
        assert each.get("ReturnData", True) is ("Expression" in each)
        assert each["Id"]
        if "Expression" in each:
            found.insert(0, each["Expression"])
        else:
            stat = each["MetricStat"]
            assert stat["Period"] == 60
            found.append(f"{each['Id']}={_metric(stat['Metric'], stat['Stat'])}")
    return "; ".join([found[0], *sorted(found[1:])])


def _metric(given: dict[str, Any], statistic: str) -> str:
    dimensions = given.get("Dimensions", [])
    for each in dimensions:
        assert DIMENSIONS.get(each["Name"], "") in str(each["Value"])
    names = ",".join(each["Name"] for each in dimensions)
    return f"{given['Namespace']} {given['MetricName']} {statistic} {names}"


def name(resource: Resource) -> str:
    """The logical id without CDK's hash."""
    return resource.id[:-8]


def alarms(templates: Templates) -> list[Resource]:
    return [each for each in templates.all(ALARM) if SCALING_ALARMS not in each.id]


def wanted_alarms(stage: Stage) -> set[str]:
    """Those that can mean something in this stage."""
    absent = set()
    if not stage.web_firewall:
        absent.add("TrafficFirewallBlocks")
    if not stage.database_reader:
        absent |= {"DatabaseDatabaseReplicaLag", "DatabaseDatabaseReaderGone"}
    if not stage.database_min_acu:
        absent.add("DatabaseDatabaseReaderGone")
    if not stage.api_min_count:
        absent.add("TrafficNoTarget")
    if not stage.api_min_count and not stage.worker_min_count:
        absent.add("QueueNoMetrics")
    return set(ALARMS) - absent


def by_configuration(stage: Stage) -> dict[str, dict[str, Any]]:
    """What of an alarm depends on the stage: silence is trouble only where one must run."""
    load = "CPU" if stage.database_min_acu > 0.9 * stage.database_max_acu else "ACU"
    patience = 5 if stage.worker_min_count else 10
    found: dict[str, dict[str, Any]] = {
        "QueueOldestJobAge": {"threshold": 5 * stage.worker_age_target_seconds},
        "QueueNoWorker": {"minutes": patience, "of": patience},
        "DatabaseDatabaseConnections": {
            "threshold": int(CONNECTION_SHARE * max_connections(stage))
        },
        "DatabaseDatabaseCapacity": {
            "watched": f"AWS/RDS {load}Utilization Maximum DBClusterIdentifier,Role"
        },
    }
    for process, least in (("Api", stage.api_min_count), ("Worker", stage.worker_min_count)):
        of = "Average ClusterName,ServiceName"
        found[f"Traffic{process}TasksMissing"] = {
            "watched": f"{'FILL(wanted, REPEAT)' if least else 'wanted'} - there;"
            f" there=ECS/ContainerInsights RunningTaskCount {of};"
            f" wanted=ECS/ContainerInsights DesiredTaskCount {of}",
            "missing": "ignore" if least else "notBreaching",
        }
    return found


def every_alarm_is_there_and_as_sharp_as_written(templates: Templates) -> None:
    """Thresholds, times and the meaning of silence."""
    # Those of further pools are as the default pool's: test_pools_are_alike.py.
    found = {name(each): each for each in alarms(templates) if not each.id.startswith("Pools")}
    assert set(found) == wanted_alarms(templates.stage)
    configured = by_configuration(templates.stage)
    names = ("watched", "threshold", "minutes", "of", "missing")
    for id, alarm in found.items():
        wanted = dict(zip(names, ALARMS[id], strict=True)) | configured.get(id, {})
        prefix = templates.stage.names.prefix
        assert source(alarm) == wanted["watched"].format(prefix=prefix), id
        assert alarm.get("Threshold") == wanted["threshold"], id
        assert alarm.get("DatapointsToAlarm") == wanted["minutes"], id
        assert alarm.get("EvaluationPeriods") == wanted["of"], id
        assert alarm.get("TreatMissingData") == wanted["missing"], id
        assert alarm.get("ComparisonOperator") == "GreaterThanThreshold", id
        if "'Role'" in (whole := str(alarm.properties)):
            assert ("'READER'" in whole) is (id == "DatabaseDatabaseReaderGone"), id
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
    stage = templates.stage
    owners = {f"Pools{pool.pool}": pool for pool in stage.pools}
    seen = set()
    for alarm in templates.all(ALARM):
        pool = next((own for scope, own in owners.items() if alarm.id.startswith(scope)), None)
        name, value = ("Pool", pool.pool) if pool else ("Queue", QUEUE_NAME)
        dimensions = [
            {"Name": MetricDimension.APP, "Value": stage.app_name},
            {"Name": name, "Value": value},
            {"Name": MetricDimension.STAGE, "Value": stage.stage},
        ]
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
    """By the very words that the API logs."""
    found = templates.one("AWS::Logs::MetricFilter")
    assert found.get("FilterPattern") == '{ $.event = "wrong credentials" }'
    assert found.get("LogGroupName")["Ref"].startswith("ApiLog")
    (transformation,) = found.get("MetricTransformations")
    alarm = templates.one(ALARM, "QueueWrongCredentials")
    assert transformation["MetricName"] == alarm.get("MetricName")
    assert transformation["MetricNamespace"] == alarm.get("Namespace") == METRIC_NAMESPACE
    assert transformation["MetricValue"] == "1"


# What is told of a session: never the answer, which opens it.
SESSION = {
    "detail-userIdentity-arn": "$.detail.userIdentity.arn",
    "detail-sourceIPAddress": "$.detail.sourceIPAddress",
    "detail-requestParameters": "$.detail.requestParameters",
}


def trouble_without_a_metric_is_told_too(templates: Templates) -> None:
    """Failed deployments, memory, sessions, failover: events that go to the topic."""
    topic = {"Ref": templates.one(TOPIC).id}
    rules = {name(each): each for each in templates.all("AWS::Events::Rule")}
    assert set(rules) == {
        "TrafficDeploymentFailed", "TrafficTasksDoNotStart", "TrafficOutOfMemory",
        "TrafficExecuteCommand",
    }  # fmt: skip
    whole = {"detail": "$.detail"}
    for id, rule in rules.items():
        assert rule.get("State") == "ENABLED"
        assert [target["Arn"] for target in rule.get("Targets")] == [topic]
        assert rule.get("EventPattern.source") == ["aws.ecs"]
        told = rule.get("Targets")[0]["InputTransformer"]
        assert told["InputPathsMap"] == (SESSION if id == "TrafficExecuteCommand" else whole)
        for path in told["InputPathsMap"]:
            assert f"<{path}>" in told["InputTemplate"]
        assert rule.get("Description") in told["InputTemplate"]
        assert rule.get("Targets")[0]["Id"]
    failed = rules["TrafficDeploymentFailed"].get("EventPattern")
    assert failed["detail"] == {"eventName": ["SERVICE_DEPLOYMENT_FAILED"]}
    assert failed["detail-type"] == ["ECS Deployment State Change"]
    impaired = rules["TrafficTasksDoNotStart"].get("EventPattern")
    assert impaired["detail"] == {"eventName": ["SERVICE_TASK_START_IMPAIRED"]}
    assert impaired["detail-type"] == ["ECS Service Action"]
    names = templates.stage.names
    for event in (failed, impaired):
        for process, arn in zip(templates.stage.processes, event["resources"], strict=True):
            assert f":service/{names.cluster}/{names.service(process.name)}" in str(arn)
    assert rules["TrafficOutOfMemory"].get("EventPattern")["detail-type"] == [
        "ECS Task State Change"
    ]
    memory = rules["TrafficOutOfMemory"].get("EventPattern.detail")
    assert memory["lastStatus"] == ["STOPPED"]
    assert ["Cluster" in str(each) for each in memory["clusterArn"]] == [True]
    assert memory["containers"] == {"reason": [{"prefix": "OutOfMemoryError"}]}
    session = rules["TrafficExecuteCommand"].get("EventPattern")
    assert session["detail-type"] == ["AWS API Call via CloudTrail"]
    assert session["detail"]["eventName"] == ["ExecuteCommand"]
    cluster = templates.one("AWS::ECS::Cluster").id
    assert session["detail"]["requestParameters"] == {
        "cluster": [{"Ref": cluster}, {"Fn::GetAtt": [cluster, "Arn"]}]
    }
    events = templates.one("AWS::RDS::EventSubscription")
    assert events.get("SnsTopicArn") == topic
    assert events.get("SourceType") == "db-cluster"
    assert events.get("EventCategories") == ["failover", "failure", "maintenance", "notification"]
    assert events.get("Enabled") is not False


def alarms_travel_encrypted(templates: Templates) -> None:
    """SNS.1, CKV_AWS_26: with a key of ours, or CloudWatch could not publish; over TLS only."""
    assert "AlarmKey" in str(templates.one(TOPIC).get("KmsMasterKeyId"))
    statements = templates.one("AWS::SNS::TopicPolicy").get("PolicyDocument.Statement")
    (denied,) = (each for each in statements if each["Effect"] == "Deny")
    assert denied["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert denied["Principal"] == "*"


def only_this_account_publishes_alarms(templates: Templates) -> None:
    """SNS.4: each service that may publish does so for this account alone."""
    statements = templates.one("AWS::SNS::TopicPolicy").get("PolicyDocument.Statement")
    allowed = {
        str(each["Principal"]["Service"]): each["Condition"]
        for each in statements
        if each["Effect"] == "Allow"
    }
    alarms = "['cloudwatch.amazonaws.com', 'events.rds.amazonaws.com']"
    assert set(allowed) == {alarms, "events.amazonaws.com"}
    assert set(allowed[alarms]["StringEquals"]) == {"aws:SourceAccount"}
    source = str(allowed["events.amazonaws.com"]["ArnLike"]["aws:SourceArn"])
    assert ":events:" in source
    assert ":rule/*" in source
    assert "AccountId" in source or templates.stage.account in source


def logs_are_encrypted_and_end(templates: Templates) -> None:
    """CloudWatch.16, CKV_AWS_66, CKV_AWS_158, CKV_AWS_338 in prod."""
    for group in templates.all(LOGS):
        assert is_the_key(group.get("KmsKeyId")), group.id
        assert group.get("RetentionInDays") == templates.stage.log_retention_days, group.id
