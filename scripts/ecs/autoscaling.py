"""The autoscaler's bounds of each ECS service, and the scheduled end of temporary ones."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.processes import deployed
from stacks.config.stage import Stage

NAMESPACE, DIMENSION = "ecs", "ecs:service:DesiredCount"
REVERT = "moor-scale-revert"
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
AT_FORMAT = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True)
class Bounds:
    """The lowest and the highest count of an ECS service."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum}..{self.maximum}"

    def clamp(self, count: int) -> int:
        """The nearest count within the bounds."""
        return min(max(count, self.minimum), self.maximum)


@dataclass(frozen=True)
class Revert:
    """The bounds that will be set again, and when."""

    at: datetime
    bounds: Bounds


@dataclass(frozen=True)
class Autoscaling:
    """The bounds of one ECS service now, and a revert that is scheduled."""

    bounds: Bounds
    revert: Revert | None = None


def configured(stage: Stage, process: str) -> Bounds | None:
    """The bounds in stages.toml; None where it has no such pool any more."""
    ecs_process = stage.process(process)
    return Bounds(ecs_process.min_count, ecs_process.max_count) if ecs_process else None


def read_autoscaling(
    targets: Iterable[dict[str, Any]],
    actions: Iterable[dict[str, Any]],
    resources: dict[str, str],
    now: datetime,
) -> dict[str, Autoscaling]:
    """From the items of `describe_scalable_targets` and `describe_scheduled_actions`.

    An action whose time has passed is ignored: AWS deletes it some time later.
    """
    reverts = {
        each["ResourceId"]: revert
        for each in actions
        if each["ScheduledActionName"] == REVERT and (revert := _revert(each)) and revert.at > now
    }
    return {
        resources[each["ResourceId"]]: Autoscaling(
            Bounds(each["MinCapacity"], each["MaxCapacity"]), reverts.get(each["ResourceId"])
        )
        for each in targets
        if each["ResourceId"] in resources and each["ScalableDimension"] == DIMENSION
    }


def _revert(action: dict[str, Any]) -> Revert | None:
    found = AT.fullmatch(action["Schedule"])
    to = action.get("ScalableTargetAction", {})
    if not found or not to.keys() >= {"MinCapacity", "MaxCapacity"}:
        return None
    at = datetime.strptime(found[1], AT_FORMAT).replace(tzinfo=UTC)
    return Revert(at, Bounds(to["MinCapacity"], to["MaxCapacity"]))


def resource(aws: Aws, process: str) -> str:
    """The resource id of the ECS service in Application Auto Scaling."""
    return f"service/{aws.names.cluster}/{aws.names.service(process)}"


def autoscaling_calls(aws: Aws) -> list[tuple[str, str, dict[str, Any]]]:
    """The calls for `Aws.together`, whose answers `read_answers` reads. One page is enough."""
    resources = [resource(aws, process) for process in deployed(aws)]
    return [
        (
            "application-autoscaling",
            "describe_scalable_targets",
            {"ServiceNamespace": NAMESPACE, "ResourceIds": resources},
        ),
        (
            "application-autoscaling",
            "describe_scheduled_actions",
            {"ServiceNamespace": NAMESPACE, "ScheduledActionNames": [REVERT]},
        ),
    ]


def read_answers(
    aws: Aws, targets: Answer, actions: Answer, now: datetime
) -> dict[str, Autoscaling]:
    """From the answers to `autoscaling_calls`."""
    return read_autoscaling(
        targets["ScalableTargets"],
        actions["ScheduledActions"],
        {resource(aws, process): process for process in deployed(aws)},
        now,
    )


def find_autoscaling(aws: Aws, now: datetime) -> dict[str, Autoscaling]:
    """The autoscaling of each ECS service that has an autoscaler."""
    targets, actions = aws.together(*autoscaling_calls(aws))
    return read_answers(aws, targets, actions, now)


def set_bounds(aws: Aws, process: str, bounds: Bounds) -> None:
    """Set the bounds; the scaling policies stay as they are."""
    aws.call(
        "application-autoscaling",
        "register_scalable_target",
        **_target(aws, process),
        MinCapacity=bounds.minimum,
        MaxCapacity=bounds.maximum,
    )


def set_revert(aws: Aws, process: str, revert: Revert) -> None:
    """Schedule the revert in AWS, so that this machine may be off then. Replaces an earlier one."""
    aws.call(
        "application-autoscaling",
        "put_scheduled_action",
        **_target(aws, process),
        ScheduledActionName=REVERT,
        Schedule=f"at({revert.at.astimezone(UTC).strftime(AT_FORMAT)})",
        ScalableTargetAction={
            "MinCapacity": revert.bounds.minimum,
            "MaxCapacity": revert.bounds.maximum,
        },
    )


def drop_revert(aws: Aws, process: str) -> None:
    """Delete the scheduled revert. Fails where there is none."""
    aws.call(
        "application-autoscaling",
        "delete_scheduled_action",
        **_target(aws, process),
        ScheduledActionName=REVERT,
    )


def _target(aws: Aws, process: str) -> dict[str, str]:
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource(aws, process),
        "ScalableDimension": DIMENSION,
    }
