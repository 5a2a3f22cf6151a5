"""Rules that pass events of ECS on to the alarms' topic."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from stacks.config.naming import runbook_section
from stacks.config.stage import Stage
from stacks.monitoring.alarm_topic import ToTopic


def add_event_rules(
    scope: Construct, *, stage: Stage, cluster: ecs.ICluster, topic: sns.ITopic
) -> None:
    """Add the rules under `scope`; each has its section in the runbook."""
    here = Stack.of(scope)
    services = [
        here.format_arn(
            service="ecs",
            resource="service",
            resource_name=f"{stage.names.cluster}/{stage.names.service(process.name)}",
        )
        for process in stage.processes
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
    # No metric shows that the first ECS task does not start, where the minimum is zero.
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
    # Also where exec is off, because one call can turn it on.
    _add_rule(
        scope,
        "ExecuteCommand",
        "Somebody ran a command inside a container.",
        stage,
        topic,
        detail_type="AWS API Call via CloudTrail",
        detail={
            "eventName": ["ExecuteCommand"],
            # Callers give the name or the ARN.
            "requestParameters": {"cluster": [cluster.cluster_name, cluster.cluster_arn]},
        },
        # Without the response, which could open the session.
        fields={
            "who": "$.detail.userIdentity.arn",
            "from": "$.detail.sourceIPAddress",
            "asked": "$.detail.requestParameters",
        },
    )


def _add_rule(
    scope: Construct,
    id: str,
    description: str,
    stage: Stage,
    topic: sns.ITopic,
    *,
    detail_type: str,
    detail: dict[str, Any],
    resources: list[str] | None = None,
    fields: dict[str, str] | None = None,
) -> None:
    paths = fields or {"event": "$.detail"}
    text = f"{stage.names.prefix}: {description} {stage.runbook_url}#{runbook_section(id)}"
    events.Rule(
        scope,
        id,
        description=text,
        event_pattern=events.EventPattern(
            source=["aws.ecs"], detail_type=[detail_type], detail=detail, resources=resources
        ),
        targets=[
            ToTopic(
                topic,
                events.RuleTargetInput.from_object(
                    {"says": text}
                    | {key: events.EventField.from_path(path) for key, path in paths.items()}
                ),
            )
        ],
    )
