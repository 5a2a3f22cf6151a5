"""Between which counts the autoscaler may choose, and when that is to end."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.terminal.options import SERVICES
from service.contract import ProcessName
from stacks.config.stage import Stage

NAMESPACE, DIMENSION = "ecs", "ecs:service:DesiredCount"
REVERT = "moor-scale-revert"
AT = re.compile(r"at\((\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)\)")
AT_FORMAT = "%Y-%m-%dT%H:%M:%S"


@dataclass(frozen=True)
class Bounds:
    """Of an ECS service's count, both included."""

    minimum: int
    maximum: int

    def __str__(self) -> str:
        return f"{self.minimum}..{self.maximum}"

    def clamp(self, count: int) -> int:
        """The nearest count that they allow."""
        return min(max(count, self.minimum), self.maximum)


@dataclass(frozen=True)
class Revert:
    """When which bounds will be back."""

    at: datetime
    bounds: Bounds


@dataclass(frozen=True)
class Autoscaling:
    """Of one ECS service: its bounds now, and a revert that waits."""

    bounds: Bounds
    revert: Revert | None = None


def configured(stage: Stage, process: ProcessName) -> Bounds:
    """What stages.toml says."""
    return Bounds(getattr(stage, f"{process}_min_count"), getattr(stage, f"{process}_max_count"))


def read_autoscaling(
    targets: Iterable[dict[str, Any]],
    actions: Iterable[dict[str, Any]],
    resources: dict[str, ProcessName],
    now: datetime,
) -> dict[ProcessName, Autoscaling]:
    """Out of what `describe_scalable_targets` and `describe_scheduled_actions` list.

    An action whose time is over is done: AWS takes such actions away, at some time.
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


def resource(aws: Aws, process: ProcessName) -> str:
    """The service's name in Application Auto Scaling."""
    return f"service/{aws.names.cluster}/{aws.names.service(process)}"


def autoscaling_calls(aws: Aws) -> list[tuple[str, str, dict[str, Any]]]:
    """For `Aws.together`; their answers are for `read_answers`. One page holds them."""
    resources = [resource(aws, process) for process in SERVICES]
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
) -> dict[ProcessName, Autoscaling]:
    """The answers to `autoscaling_calls`."""
    return read_autoscaling(
        targets["ScalableTargets"],
        actions["ScheduledActions"],
        {resource(aws, process): process for process in SERVICES},
        now,
    )


def find_autoscaling(aws: Aws, now: datetime) -> dict[ProcessName, Autoscaling]:
    """Of the services that have any."""
    targets, actions = aws.together(*autoscaling_calls(aws))
    return read_answers(aws, targets, actions, now)


def set_bounds(aws: Aws, process: ProcessName, bounds: Bounds) -> None:
    """From now on; the policies stay as they are."""
    aws.call(
        "application-autoscaling",
        "register_scalable_target",
        **_target(aws, process),
        MinCapacity=bounds.minimum,
        MaxCapacity=bounds.maximum,
    )


def set_revert(aws: Aws, process: ProcessName, revert: Revert) -> None:
    """AWS itself does it at that time, wherever this machine is then; one for each service."""
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


def drop_revert(aws: Aws, process: ProcessName) -> None:
    """There must be one."""
    aws.call(
        "application-autoscaling",
        "delete_scheduled_action",
        **_target(aws, process),
        ScheduledActionName=REVERT,
    )


def _target(aws: Aws, process: ProcessName) -> dict[str, str]:
    return {
        "ServiceNamespace": NAMESPACE,
        "ResourceId": resource(aws, process),
        "ScalableDimension": DIMENSION,
    }
