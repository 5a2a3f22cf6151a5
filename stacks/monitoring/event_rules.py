"""What ECS reports by itself, passed on to the alarms' topic."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from service.contract import ProcessName
from stacks.config.naming import runbook_section
from stacks.config.stage import Stage
from stacks.monitoring.alarm_topic import ToTopic


def add_event_rules(
    scope: Construct, *, stage: Stage, cluster: ecs.ICluster, topic: sns.ITopic
) -> None:
    """Rules of EventBridge under `scope`, each with its section in the runbook."""
    here = Stack.of(scope)
    services = [
        here.format_arn(
            service="ecs",
            resource="service",
            resource_name=f"{stage.names.cluster}/{stage.names.service(process)}",
        )
        for process in (ProcessName.API, ProcessName.WORKER)
    ]
    _add_rule(
        scope,
        "DeploymentFailed",
        "A deployment failed, and the one before comes back.",
        stage,
        topic,
        detail_type="ECS Deployment State Change",
        detail={"eventName": ["SERVICE_DEPLOYMENT_FAILED"]},
        resources=services,
    )
    # What no metric tells where none has to run: the first ECS task does not start.
    _add_rule(
        scope,
        "TasksDoNotStart",
        "ECS tries again and again to start ECS tasks, and they end.",
        stage,
        topic,
        detail_type="ECS Service Action",
        detail={"eventName": ["SERVICE_TASK_START_IMPAIRED"]},
        resources=services,
    )
    _add_rule(
        scope,
        "OutOfMemory",
        "A container needed more memory than it has, and was killed.",
        stage,
        topic,
        detail_type="ECS Task State Change",
        detail={
            "clusterArn": [cluster.cluster_arn],
            "lastStatus": ["STOPPED"],
            "containers": {"reason": [{"prefix": "OutOfMemoryError"}]},
        },
    )
    # Also where exec is off: there it is one call away, and nobody should be surprised by it.
    _add_rule(
        scope,
        "ExecuteCommand",
        "Somebody ran a command inside a container.",
        stage,
        topic,
        detail_type="AWS API Call via CloudTrail",
        detail={
            "eventName": ["ExecuteCommand"],
            # callers give the one or the other
            "requestParameters": {"cluster": [cluster.cluster_name, cluster.cluster_arn]},
        },
        # not the answer, which opens the session
        tells={
            "who": "$.detail.userIdentity.arn",
            "from": "$.detail.sourceIPAddress",
            "asked": "$.detail.requestParameters",
        },
    )


def _add_rule(
    scope: Construct,
    id: str,
    says: str,
    stage: Stage,
    topic: sns.ITopic,
    *,
    detail_type: str,
    detail: dict[str, Any],
    resources: list[str] | None = None,
    tells: dict[str, str] | None = None,
) -> None:
    told = tells or {"event": "$.detail"}
    says = f"{stage.names.prefix}: {says} {stage.runbook_url}#{runbook_section(id)}"
    events.Rule(
        scope,
        id,
        description=says,
        event_pattern=events.EventPattern(
            source=["aws.ecs"], detail_type=[detail_type], detail=detail, resources=resources
        ),
        targets=[
            ToTopic(
                topic,
                events.RuleTargetInput.from_object(
                    {"says": says}
                    | {key: events.EventField.from_path(path) for key, path in told.items()}
                ),
            )
        ],
    )
