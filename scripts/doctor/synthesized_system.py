"""A stage's normal form out of its synthesized templates."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from scripts.doctor.definition import read_definition
from scripts.doctor.model import (
    Cluster,
    Database,
    Network,
    Policy,
    Role,
    Service,
    Statement,
    System,
    TargetGroup,
)
from scripts.doctor.policy import read_statements
from scripts.doctor.scaling_policy import read_scaling_policy
from scripts.templates.template import Resource, Template, read_template
from stacks.config.stage import Stage


def read_system(
    folder: Path, stage: Stage, *, now: datetime, ca_ends: Mapping[str, datetime] | None
) -> System:
    """Out of a folder of the CDK. Raises `NotDeployedError` where there is none."""
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
        target, policies = _scaling(template, service)
        deployment = given.get("DeploymentConfiguration", {})
        network = given.get("NetworkConfiguration", {}).get("AwsvpcConfiguration", {})
        found = read_definition(
            definition.name,
            definition.properties,
            task_role=_role(template, definition.properties.get("TaskRoleArn")),
            execution_role=_role(template, definition.properties.get("ExecutionRoleArn")),
        )
        yield Service(
            name=str(given.get("ServiceName", service.name)),
            process=found.main.name,
            definition=found,
            least=_whole(target.get("MinCapacity")),
            most=_whole(target.get("MaxCapacity")),
            desired=_whole(given.get("DesiredCount")),
            policies=policies,
            is_exec_on=_is(given.get("EnableExecuteCommand")),
            has_breaker=_is(deployment.get("DeploymentCircuitBreaker", {}).get("Enable")),
            least_healthy_percent=_whole(deployment.get("MinimumHealthyPercent")) or 0,
            most_percent=_whole(deployment.get("MaximumPercent")) or 200,
            health_grace_seconds=_whole(given.get("HealthCheckGracePeriodSeconds")),
            has_balancer=bool(given.get("LoadBalancers")),
            has_public_address=network.get("AssignPublicIp") == "ENABLED",
            uses_spot=any(
                each["CapacityProvider"] == "FARGATE_SPOT" and each.get("Weight", 0)
                for each in given.get("CapacityProviderStrategy", ())
            ),
            subnets=tuple(network.get("Subnets", ())),
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
    statements: list[Statement] = []
    for document in documents:
        statements += read_statements(document)
    return Role(name=role.name, statements=tuple(statements))


def _target_group(template: Template) -> TargetGroup | None:
    for group in template.all("AWS::ElasticLoadBalancingV2::TargetGroup"):
        attributes = {
            each["Key"]: each["Value"] for each in group.properties.get("TargetGroupAttributes", ())
        }
        return TargetGroup(
            health_path=group.properties.get("HealthCheckPath", "/"),
            deregistration_seconds=int(attributes.get("deregistration_delay.timeout_seconds", 300)),
        )
    return None


def _cluster(template: Template) -> Cluster | None:
    for cluster in template.all("AWS::ECS::Cluster"):
        given = cluster.properties.get("Configuration", {}).get("ExecuteCommandConfiguration", {})
        return Cluster(
            exec_logging=given.get("Logging", "DEFAULT"),
            exec_log_group=given.get("LogConfiguration", {}).get("CloudWatchLogGroupName", ""),
            exec_key=given.get("KmsKeyId", ""),
        )
    return None


def _database(template: Template) -> Database | None:
    for cluster in template.all("AWS::RDS::DBCluster"):
        given = cluster.properties
        scaling = given.get("ServerlessV2ScalingConfiguration", {})
        group = template.get(str(given.get("DBClusterParameterGroupName")))
        parameters = group.properties.get("Parameters", {}) if group else {}
        return Database(
            is_encrypted=_is(given.get("StorageEncrypted")),
            is_protected=_is(given.get("DeletionProtection")),
            backup_days=_whole(given.get("BackupRetentionPeriod")) or 1,
            least_acu=float(scaling.get("MinCapacity", 0.5)),
            most_acu=float(scaling.get("MaxCapacity", 1)),
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


def _is(value: object) -> bool:
    return value is True or value == "true"
