"""Reads the parts of a stage from templates and from AWS's answers, which have the same form.

CloudFormation and ECS differ only in the case of the keys, and a template may say "true" for true.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from scripts.doctor.model import (
    Cluster,
    Container,
    Database,
    Definition,
    Policy,
    Role,
    Service,
    Statement,
    TargetGroup,
)

Given = Mapping[str, Any]


def lowered(value: Any) -> Any:
    """The value with keys that begin in lower case, as ECS has them; log options keep theirs."""
    if isinstance(value, list):
        return [lowered(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key[:1].lower() + key[1:]: each if key in {"Options", "options"} else lowered(each)
        for key, each in value.items()
    }


def read_definition(
    name: str, given: Given, *, task_role: Role | None, execution_role: Role | None
) -> Definition:
    """A task definition."""
    found = lowered(given)
    return Definition(
        name=name,
        containers=tuple(_container(each) for each in found["containerDefinitions"]),
        architecture=found.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64"),
        pid_mode=found.get("pidMode", ""),
        task_role=task_role,
        execution_role=execution_role,
    )


def read_service(
    name: str,
    given: Given,
    *,
    definition: Definition,
    bounds: Given,
    policies: tuple[Policy, ...],
    missing_flag: bool | None,
) -> Service:
    """An ECS service; `bounds` is its scalable target, `missing_flag` what a missing flag means."""
    found = lowered(given)
    deployment = found.get("deploymentConfiguration", {})
    network = found.get("networkConfiguration", {}).get("awsvpcConfiguration", {})
    breaker = deployment.get("deploymentCircuitBreaker", {})
    return Service(
        name=name,
        process=definition.main.name,
        definition=definition,
        least=_whole(bounds.get("MinCapacity")),
        most=_whole(bounds.get("MaxCapacity")),
        desired=_whole(found.get("desiredCount")),
        running=_whole(found.get("runningCount")),
        policies=policies,
        is_exec_on=_flag(found.get("enableExecuteCommand"), missing_flag),
        has_breaker=_flag(breaker.get("enable"), missing_flag),
        least_healthy_percent=int(deployment.get("minimumHealthyPercent", 100)),
        most_percent=int(deployment.get("maximumPercent", 200)),
        health_grace_seconds=_whole(found.get("healthCheckGracePeriodSeconds")),
        has_balancer=bool(found.get("loadBalancers")),
        has_public_address=network.get("assignPublicIp") == "ENABLED",
        uses_spot=any(
            each["capacityProvider"] == "FARGATE_SPOT" and each.get("weight", 0)
            for each in found.get("capacityProviderStrategy", ())
        ),
        subnets=tuple(network.get("subnets", ())),
    )


def read_cluster(given: Given) -> Cluster:
    """An ECS cluster."""
    found = lowered(given).get("configuration", {}).get("executeCommandConfiguration", {})
    return Cluster(
        exec_logging=found.get("logging", "DEFAULT"),
        exec_log_group=found.get("logConfiguration", {}).get("cloudWatchLogGroupName", ""),
        exec_key=found.get("kmsKeyId", ""),
    )


def read_scaling_policy(given: Given) -> Policy:
    """A scaling policy, with the metric that it follows if it tracks a target."""
    tracking = given.get("TargetTrackingScalingPolicyConfiguration", {})
    metric = tracking.get("PredefinedMetricSpecification", {}).get(
        "PredefinedMetricType"
    ) or tracking.get("CustomizedMetricSpecification", {}).get("MetricName", "")
    return Policy(metric=metric, may_scale_in=not _flag(tracking.get("DisableScaleIn"), False))


def read_target_group(given: Given, attributes: Iterable[Given]) -> TargetGroup:
    """A target group of the load balancer."""
    values = {each["Key"]: each["Value"] for each in attributes}
    return TargetGroup(
        health_path=given.get("HealthCheckPath", "/"),
        deregistration_seconds=int(values.get("deregistration_delay.timeout_seconds", 300)),
    )


def read_database(
    given: Given, *, force_ssl: str | None, has_proxy: bool, master_secret: str
) -> Database:
    """An Aurora cluster."""
    scaling = given.get("ServerlessV2ScalingConfiguration", {})
    return Database(
        is_encrypted=bool(_flag(given.get("StorageEncrypted"), False)),
        is_protected=bool(_flag(given.get("DeletionProtection"), False)),
        backup_days=int(given.get("BackupRetentionPeriod", 1)),
        least_acu=float(scaling.get("MinCapacity", 0.5)),
        most_acu=float(scaling.get("MaxCapacity", 1)),
        force_ssl=force_ssl,
        has_proxy=has_proxy,
        master_secret=master_secret,
    )


def read_role(name: str, documents: Iterable[Given]) -> Role:
    """A role with what its policy documents allow; statements that deny are left out."""
    return Role(
        name=name,
        statements=tuple(
            Statement(actions=_many(each.get("Action")), resources=_many(each.get("Resource")))
            for document in documents
            for each in _items(document["Statement"])
            if each["Effect"] == "Allow"
        ),
    )


def _container(given: Given) -> Container:
    logs = given.get("logConfiguration", {})
    return Container(
        name=given["name"],
        command=tuple(given.get("command", ())),
        image=given.get("image", ""),
        environment={each["name"]: str(each["value"]) for each in given.get("environment", ())},
        secrets={each["name"]: each["valueFrom"] for each in given.get("secrets", ())},
        depends_on={
            each["containerName"]: each["condition"] for each in given.get("dependsOn", ())
        },
        health_check=tuple(given.get("healthCheck", {}).get("command", ())),
        stop_timeout=given.get("stopTimeout"),
        is_root_read_only=bool(given.get("readonlyRootFilesystem")),
        has_init=bool(given.get("linuxParameters", {}).get("initProcessEnabled")),
        log_driver=logs.get("logDriver", ""),
        log_options=logs.get("options", {}),
    )


def _items(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _many(value: Any) -> tuple[str, ...]:
    return () if value is None else tuple(str(each) for each in _items(value))


def _whole(value: object) -> int | None:
    return None if value is None else int(str(value))


def _flag(value: object, missing: bool | None) -> bool | None:
    return missing if value is None else value in (True, "true")
