"""Reads a stage from its synthesized templates, for the rules."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

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
from scripts.doctor.readers import (
    read_cluster,
    read_database,
    read_definition,
    read_role,
    read_scaling_policy,
    read_service,
    read_target_group,
)
from scripts.templates.template import Resource, Template, read_template
from stacks.config.stage import Stage


def read_system(
    folder: Path, stage: Stage, *, now: datetime, ca_ends: Mapping[str, datetime] | None
) -> System:
    """The stage in a folder of the CDK. Raises `NotDeployedError` where there is no folder."""
    template = read_template(folder)
    return System(
        stage=stage,
        now=now,
        services=tuple(_services(template)),
        target_group=_target_group(template),
        retention_days={
            str(group.properties.get("LogGroupName", group.name)): _whole(
                group.properties.get("RetentionInDays")
            )
            for group in template.all("AWS::Logs::LogGroup")
        },
        cluster=_cluster(template),
        database=_database(template),
        network=_network(template),
        image_platforms=dict(_platforms(folder)),
        ca_ends=ca_ends,
    )


def _services(template: Template) -> Iterator[Service]:
    for service in template.all("AWS::ECS::Service"):
        given = service.properties
        definition = template.get(str(given["TaskDefinition"]))
        if definition is None:
            continue
        bounds, policies = _scaling(template, service)
        found = read_definition(
            definition.name,
            definition.properties,
            task_role=_role(template, definition.properties.get("TaskRoleArn")),
            execution_role=_role(template, definition.properties.get("ExecutionRoleArn")),
        )
        yield read_service(
            str(given.get("ServiceName", service.name)),
            given,
            definition=found,
            bounds=bounds,
            policies=policies,
            missing_flag=False,  # what ECS does
        )


def _scaling(template: Template, service: Resource) -> tuple[Mapping[str, Any], tuple[Policy, ...]]:
    ends = (f"/{service.name}.Name", f"/{service.properties.get('ServiceName')}")
    for target in template.all("AWS::ApplicationAutoScaling::ScalableTarget"):
        if str(target.properties["ResourceId"]).endswith(ends):
            policies = [
                read_scaling_policy(policy.properties)
                for policy in template.all("AWS::ApplicationAutoScaling::ScalingPolicy")
                if policy.properties.get("ScalingTargetId") == target.name
            ]
            return target.properties, tuple(policies)
    return {}, ()


def _role(template: Template, arn: object) -> Role | None:
    role = template.get(str(arn))
    if role is None:
        return None
    documents = [each["PolicyDocument"] for each in role.properties.get("Policies", ())]
    for type in ("AWS::IAM::ManagedPolicy", "AWS::IAM::Policy"):
        documents += [
            policy.properties["PolicyDocument"]
            for policy in template.all(type)
            if role.name in policy.properties.get("Roles", ())
        ]
    return read_role(role.name, documents)


def _target_group(template: Template) -> TargetGroup | None:
    for group in template.all("AWS::ElasticLoadBalancingV2::TargetGroup"):
        given = group.properties
        return read_target_group(given, given.get("TargetGroupAttributes", ()))
    return None


def _cluster(template: Template) -> Cluster | None:
    clusters = template.all("AWS::ECS::Cluster")
    return read_cluster(clusters[0].properties) if clusters else None


def _database(template: Template) -> Database | None:
    for cluster in template.all("AWS::RDS::DBCluster"):
        given = cluster.properties
        group = template.get(str(given.get("DBClusterParameterGroupName")))
        parameters = group.properties.get("Parameters", {}) if group else {}
        return read_database(
            given,
            force_ssl=str(parameters.get("rds.force_ssl", "")),
            has_proxy=bool(template.all("AWS::RDS::DBProxy")),
            master_secret=f"{cluster.name}.MasterUserSecret.SecretArn",
        )
    return None


def _network(template: Template) -> Network:
    zones = {subnet for service in _services(template) for subnet in service.subnets}
    known = {str(subnet.name): subnet.properties.get("AvailabilityZone") for subnet in
             template.all("AWS::EC2::Subnet")}  # fmt: skip
    return Network(
        zones=len({str(known.get(subnet, subnet)) for subnet in zones}),
        nat_gateways=len(template.all("AWS::EC2::NatGateway")),
        endpoints=frozenset(
            str(endpoint.properties["ServiceName"]).rpartition(".")[2]
            for endpoint in template.all("AWS::EC2::VPCEndpoint")
            if endpoint.properties.get("VpcEndpointType") == "Interface"
        ),
    )


def _platforms(folder: Path) -> Iterator[tuple[str, str]]:
    for file in folder.glob("*.assets.json"):
        for tag, image in json.loads(file.read_text("utf-8")).get("dockerImages", {}).items():
            if platform := image["source"].get("platform"):
                yield f":{tag}", platform


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))
