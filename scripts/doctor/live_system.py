"""Reads a deployed stage from AWS and from its own API, for the rules."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from scripts.aws import Answer, Aws
from scripts.doctor.grants import find_role, read_caller
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
from scripts.doctor.queue import read_queues, read_readiness
from scripts.doctor.readers import (
    read_cluster,
    read_database,
    read_definition,
    read_scaling_policy,
    read_service,
    read_target_group,
)
from scripts.ecs.services import describe_services_call, read_rollout
from scripts.ecs.tasks import find_stopped
from scripts.errors import NotDeployedError, OperatorError
from scripts.processes import pool_of, workers
from scripts.twin.client.permissions import newest_refusals
from service.contract import METRIC_NAMESPACE, Metric, MetricDimension, worker_dimension
from stacks.config.naming import Output

Found = TypeVar("Found")
REFUSED_WITHIN = timedelta(hours=1)
LISTEN_WINDOW = timedelta(minutes=10)


@dataclass
class PartReader:
    """Reads one part after the other, and keeps the reason why a part could not be read."""

    aws: Aws
    unread: dict[str, str] = field(default_factory=dict)

    def part(self, part: str, read: Callable[[], Found]) -> Found | None:
        """The part, or None where it is refused or missing. Raises `NotDeployedError` where there
        is no stage at all."""
        try:
            return read()
        except NotDeployedError:
            raise
        except OperatorError as error:
            self.unread[part] = str(error)
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
        queues=reader.part("queues", lambda: read_queues(aws)),
        listen_age_seconds=reader.part("listen_age_seconds", lambda: _listen_age(aws, now)),
        stopped=reader.part("stopped", lambda: tuple(find_stopped(aws))),
        refused=_refused(aws, now),
        rollouts={
            answer["serviceName"]: read_rollout(answer["deployments"][0])
            for answer in answers
            if answer.get("deployments")
        },
        unread=reader.unread,
    )


def _refused(aws: Aws, now: datetime) -> tuple[str, ...] | None:
    home = aws.target.home
    return tuple(newest_refusals(home, now - REFUSED_WITHIN)) if home else None


def _services(aws: Aws) -> list[Answer]:
    _, _, given = describe_services_call(aws)
    return list(aws.call("ecs", "describe_services", **given)["services"])


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
    return read_service(
        answer["serviceName"],
        answer,
        definition=definition,
        bounds=bounds,
        policies=policies,
        missing_flag=None,
    )


def _role(reader: PartReader, arn: str | None) -> Role | None:
    return reader.part("roles", lambda: find_role(reader.aws, str(arn).rpartition("/")[2]))


def _scaling(aws: Aws, service: str) -> tuple[Mapping[str, Any], tuple[Policy, ...]]:
    resource = f"service/{aws.output(Output.CLUSTER)}/{service}"
    kind = "application-autoscaling"
    given = {"ServiceNamespace": "ecs", "ResourceIds": [resource]}
    targets = list(aws.pages(kind, "describe_scalable_targets", "ScalableTargets", **given))
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
    return read_target_group(group["TargetGroups"][0], found["Attributes"])


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
    return next((read_cluster(each) for each in answer["clusters"]), None)


def _database(reader: PartReader) -> Database:
    aws = reader.aws
    answer = aws.call("rds", "describe_db_clusters", DBClusterIdentifier=aws.names.database)
    (cluster,) = answer["DBClusters"]
    group = cluster.get("DBClusterParameterGroup", "")
    return read_database(
        cluster,
        force_ssl=reader.part("force_ssl", lambda: _force_ssl(aws, group)),
        has_proxy=False,  # which a cluster does not say
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
    """The greatest of all pools."""
    ages = [_listen_age_of(aws, pool_of(process), now) for process in workers(aws)]
    return max((age for age in ages if age is not None), default=None)


def _listen_age_of(aws: Aws, pool: str, now: datetime) -> float | None:
    kind, name = worker_dimension(pool)
    values = {
        MetricDimension.APP: aws.names.app,
        MetricDimension.STAGE: aws.names.stage,
        kind: name,
    }
    answer = aws.call(
        "cloudwatch", "get_metric_statistics",
        Namespace=METRIC_NAMESPACE, MetricName=Metric.LISTEN_AGE_SECONDS.value,
        Dimensions=[{"Name": name.value, "Value": value} for name, value in values.items()],
        StartTime=now - LISTEN_WINDOW, EndTime=now, Period=60, Statistics=["Maximum"],
    )  # fmt: skip
    values_by_age = sorted(answer["Datapoints"], key=lambda datapoint: datapoint["Timestamp"])
    return float(values_by_age[-1]["Maximum"]) if values_by_age else None
