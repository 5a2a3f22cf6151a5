"""moto's record of an ECS task, with the fields that ECS shows and moto lacks."""

from datetime import UTC, datetime, timedelta
from typing import Any

from moto.ecs.models import Task, TaskDefinition

from scripts.twin.ecs.container import Container

RUNNING, STOPPED = "RUNNING", "STOPPED"
NOT_YET = {"PROVISIONING", "PENDING", "ACTIVATING"}


def prepare(task: Any, definition: TaskDefinition) -> None:
    """Change moto's new ECS task into one that the agent has to start."""
    task.id = task.id.replace("-", "")
    task.last_status, task.desired_status = "PROVISIONING", RUNNING
    task.health_status, task.stopped_reason = "UNKNOWN", None
    task.created_at = now()
    task.launch_type, task.platform_version, task.platform_family = "FARGATE", "1.4.0", "Linux"
    task.availability_zone = f"{task.region_name}a"
    task.connectivity, task.connectivity_at = "CONNECTED", task.created_at
    task.version = 1
    overrides = (task.overrides or {}).get("containerOverrides", [])
    task.cpu, task.memory = definition.cpu, definition.memory
    addresses = _addresses(task)
    task.containers = [
        Container(
            each,
            override=next((one for one in overrides if one.get("name") == each["name"]), {}),
            task_arn=task.task_arn,
            task_id=task.id,
            network_interfaces=addresses,
        )
        for each in definition.container_definitions
    ]
    task.protection_enabled, task.protection_expires = False, None


def enable_exec(task: Any, *, is_enabled: bool) -> None:
    """Allow sessions in the ECS task, or not; this cannot change after its start."""
    task.enable_execute_command = is_enabled
    for container in task.containers:
        container.has_agent = is_enabled


def ask_to_stop(task: Any, code: str, reason: str) -> bool:
    """Mark the ECS task to be stopped for this reason; False if it already is, for another."""
    if task.desired_status == STOPPED:
        return False
    task.desired_status = STOPPED
    task.stop_code, task.stopped_reason, task.stopping_at = code, reason, now()
    return True


def protect(task: Any, minutes: int | None) -> None:
    """Protect it from scale-in and deployments for `minutes`; None ends the protection."""
    task.protection_enabled = minutes is not None
    task.protection_expires = None if minutes is None else now() + timedelta(minutes=minutes)


def is_protected(task: Any) -> bool:
    expires: datetime | None = task.protection_expires
    return expires is not None and now() < expires


def has_ended(task: Task) -> bool:
    return bool(task.last_status == STOPPED)


def now() -> datetime:
    return datetime.now(UTC)


def _addresses(task: Any) -> list[dict[str, str]]:
    return [
        {
            "attachmentId": each["id"],
            "privateIpv4Address": next(
                pair["value"] for pair in each["details"] if pair["name"] == "privateIPv4Address"
            ),
        }
        for each in task.attachments
    ]
