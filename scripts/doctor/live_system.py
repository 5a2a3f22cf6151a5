"""A stage's normal form out of what AWS and the stage's own API answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from scripts.aws import Answer, Aws
from scripts.doctor.definition import read_definition
from scripts.doctor.grants import read_caller, read_role
from scripts.doctor.model import (
    Cluster,
    Database,
    Network,
    Policy,
    Role,
    Service,
    System,
    TargetGroup,
)
from scripts.doctor.queue import read_queue, read_readiness
from scripts.doctor.scaling_policy import read_scaling_policy
from scripts.ecs.services import read_rollout
from scripts.ecs.tasks import find_stopped
from scripts.errors import NotDeployedError, OperatorError
from service.contract import METRIC_NAMESPACE, QUEUE_NAME, Metric, MetricDimension, ProcessName
from stacks.config.naming import Output

Found = TypeVar("Found")
PROCESSES = (ProcessName.API, ProcessName.WORKER)
LISTEN_WINDOW = timedelta(minutes=10)


@dataclass
class PartReader:
    """Asks for one part after the other, and keeps why one could not be seen."""

    aws: Aws
    unseen: dict[str, str] = field(default_factory=dict)

    def part(self, part: str, ask: Callable[[], Found]) -> Found | None:
        """The part, or None where it is refused or missing. A stage that is not there is not
        looked at any further: raises `NotDeployedError`."""
        try:
            return ask()
        except NotDeployedError:
            raise
        except OperatorError as error:
            self.unseen[part] = str(error)
            return None


def read_live_system(aws: Aws, *, now: datetime, ca_ends: Mapping[str, datetime] | None) -> System:
    """The stage as it is now. Raises `NotDeployedError` where there is none."""
    reader = PartReader(aws)
    answers = _services(aws)
    services = tuple(_service(reader, answer) for answer in answers)
    cluster = reader.part("cluster", lambda: _cluster(aws))
    key = cluster.exec_key if cluster else ""
    return System(
        stage=aws.target.stage,
        now=now,
        is_live=True,
        services=services,
        target_group=reader.part("target_group", lambda: _target_group(aws, answers)),
        retention_days=reader.part("retention_days", lambda: _retention(aws, services)),
        cluster=cluster,
        database=reader.part("database", lambda: _database(reader)),
        network=reader.part("network", lambda: _network(aws, services)),
        ca_ends=ca_ends,
        caller=reader.part("caller", lambda: read_caller(aws, key)),
        readiness=reader.part("readiness", lambda: read_readiness(aws.output(Output.URL))),
        queue=reader.part("queue", lambda: read_queue(aws)),
        listen_age_seconds=reader.part("listen_age_seconds", lambda: _listen_age(aws, now)),
        stopped=reader.part("stopped", lambda: tuple(find_stopped(aws))),
        rollouts={
            answer["serviceName"]: read_rollout(answer["deployments"][0])
            for answer in answers
            if answer.get("deployments")
        },
        unseen=reader.unseen,
    )


def _services(aws: Aws) -> list[Answer]:
    names = [aws.output(Output.API_SERVICE), aws.output(Output.WORKER_SERVICE)]
    answer = aws.call(
        "ecs", "describe_services", cluster=aws.output(Output.CLUSTER), services=names
    )
    return list(answer["services"])


def _service(reader: PartReader, answer: Answer) -> Service:
    aws = reader.aws
    given = aws.call("ecs", "describe_task_definition", taskDefinition=answer["taskDefinition"])[
        "taskDefinition"
    ]
    bounds, policies = _scaling(aws, answer["serviceName"])
    definition = read_definition(
        f"{given['family']}:{given['revision']}",
        given,
        task_role=_role(reader, given.get("taskRoleArn")),
        execution_role=_role(reader, given.get("executionRoleArn")),
    )
    deployment = answer.get("deploymentConfiguration", {})
    network = answer.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    return Service(
        name=answer["serviceName"],
        process=definition.main.name,
        definition=definition,
        least=bounds.get("MinCapacity"),
        most=bounds.get("MaxCapacity"),
        desired=answer["desiredCount"],
        running=answer["runningCount"],
        policies=policies,
        is_exec_on=answer.get("enableExecuteCommand"),
        has_breaker=deployment.get("deploymentCircuitBreaker", {}).get("enable"),
        least_healthy_percent=deployment.get("minimumHealthyPercent", 100),
        most_percent=deployment.get("maximumPercent", 200),
        health_grace_seconds=answer.get("healthCheckGracePeriodSeconds"),
        has_balancer=bool(answer.get("loadBalancers")),
        has_public_address=network.get("assignPublicIp") == "ENABLED",
        uses_spot=any(
            each["capacityProvider"] == "FARGATE_SPOT" and each.get("weight", 0)
            for each in answer.get("capacityProviderStrategy", ())
        ),
        subnets=tuple(network.get("subnets", ())),
    )


def _role(reader: PartReader, arn: str | None) -> Role | None:
    return reader.part("roles", lambda: read_role(reader.aws, str(arn).rpartition("/")[2]))


def _scaling(aws: Aws, service: str) -> tuple[Mapping[str, Any], tuple[Policy, ...]]:
    resource = f"service/{aws.output(Output.CLUSTER)}/{service}"
    kind = "application-autoscaling"
    asked = {"ServiceNamespace": "ecs", "ResourceIds": [resource]}
    targets = list(aws.pages(kind, "describe_scalable_targets", "ScalableTargets", **asked))
    policies = aws.pages(
        kind, "describe_scaling_policies", "ScalingPolicies",
        ServiceNamespace="ecs", ResourceId=resource,
    )  # fmt: skip
    return (targets[0] if targets else {}), tuple(read_scaling_policy(each) for each in policies)


def _target_group(aws: Aws, services: list[Answer]) -> TargetGroup | None:
    arns = [
        balancer["targetGroupArn"]
        for service in services
        for balancer in service.get("loadBalancers", ())
    ]
    if not arns:
        return None
    group = aws.call("elbv2", "describe_target_groups", TargetGroupArns=arns[:1])
    found = aws.call("elbv2", "describe_target_group_attributes", TargetGroupArn=arns[0])
    attributes = {each["Key"]: each["Value"] for each in found["Attributes"]}
    return TargetGroup(
        health_path=group["TargetGroups"][0].get("HealthCheckPath", "/"),
        deregistration_seconds=int(attributes.get("deregistration_delay.timeout_seconds", 300)),
    )


def _retention(aws: Aws, services: tuple[Service, ...]) -> dict[str, int | None]:
    wanted = {
        container.log_options["awslogs-group"]
        for service in services
        for container in service.definition.containers
        if "awslogs-group" in container.log_options
    }
    return {
        group["logGroupName"]: group.get("retentionInDays")
        for name in sorted(wanted)
        for group in aws.pages("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=name)
        if group["logGroupName"] == name
    }


def _cluster(aws: Aws) -> Cluster | None:
    answer = aws.call(
        "ecs", "describe_clusters",
        clusters=[aws.output(Output.CLUSTER)], include=["CONFIGURATIONS"],
    )  # fmt: skip
    for cluster in answer["clusters"]:
        given = cluster.get("configuration", {}).get("executeCommandConfiguration", {})
        return Cluster(
            exec_logging=given.get("logging", "DEFAULT"),
            exec_log_group=given.get("logConfiguration", {}).get("cloudWatchLogGroupName", ""),
            exec_key=given.get("kmsKeyId", ""),
        )
    return None


def _database(reader: PartReader) -> Database:
    aws = reader.aws
    answer = aws.call("rds", "describe_db_clusters", DBClusterIdentifier=aws.names.database)
    (cluster,) = answer["DBClusters"]
    scaling = cluster.get("ServerlessV2ScalingConfiguration", {})
    group = cluster.get("DBClusterParameterGroup", "")
    return Database(
        is_encrypted=bool(cluster.get("StorageEncrypted")),
        is_protected=bool(cluster.get("DeletionProtection")),
        backup_days=cluster.get("BackupRetentionPeriod", 1),
        least_acu=float(scaling.get("MinCapacity", 0.5)),
        most_acu=float(scaling.get("MaxCapacity", 1)),
        force_ssl=reader.part("force_ssl", lambda: _force_ssl(aws, group)),
        master_secret=cluster.get("MasterUserSecret", {}).get("SecretArn", ""),
    )


def _force_ssl(aws: Aws, group: str) -> str | None:
    for each in aws.pages(
        "rds", "describe_db_cluster_parameters", "Parameters", DBClusterParameterGroupName=group
    ):
        if each["ParameterName"] == "rds.force_ssl":
            return str(each.get("ParameterValue", ""))
    return None


def _network(aws: Aws, services: tuple[Service, ...]) -> Network:
    ids = sorted({subnet for service in services for subnet in service.subnets})
    subnets = aws.call("ec2", "describe_subnets", SubnetIds=ids)["Subnets"]
    in_vpc = [{"Name": "vpc-id", "Values": sorted({subnet["VpcId"] for subnet in subnets})}]
    gateways = aws.pages("ec2", "describe_nat_gateways", "NatGateways", Filter=in_vpc)
    endpoints = aws.pages("ec2", "describe_vpc_endpoints", "VpcEndpoints", Filters=in_vpc)
    return Network(
        zones=len({subnet["AvailabilityZone"] for subnet in subnets}),
        nat_gateways=sum(gateway["State"] in {"available", "pending"} for gateway in gateways),
        endpoints=frozenset(
            endpoint["ServiceName"].rpartition(".")[2]
            for endpoint in endpoints
            if endpoint["VpcEndpointType"] == "Interface"
        ),
    )


def _listen_age(aws: Aws, now: datetime) -> float | None:
    values = {
        MetricDimension.APP: aws.names.app,
        MetricDimension.STAGE: aws.names.stage,
        MetricDimension.QUEUE: QUEUE_NAME,
    }
    answer = aws.call(
        "cloudwatch", "get_metric_statistics",
        Namespace=METRIC_NAMESPACE, MetricName=Metric.LISTEN_AGE_SECONDS.value,
        Dimensions=[{"Name": name.value, "Value": value} for name, value in values.items()],
        StartTime=now - LISTEN_WINDOW, EndTime=now, Period=60, Statistics=["Maximum"],
    )  # fmt: skip
    points = sorted(answer["Datapoints"], key=lambda point: point["Timestamp"])
    return float(points[-1]["Maximum"]) if points else None
