"""A task definition's normal form; CloudFormation and ECS differ in the case of the keys only."""

from collections.abc import Mapping
from typing import Any

from scripts.doctor.model import Container, Definition, Role


def read_definition(
    name: str,
    given: Mapping[str, Any],
    *,
    task_role: Role | None,
    execution_role: Role | None,
) -> Definition:
    """Out of a template's properties or an answer of `describe_task_definition`."""
    found = lowered(given)
    return Definition(
        name=name,
        containers=tuple(_container(each) for each in found["containerDefinitions"]),
        architecture=found.get("runtimePlatform", {}).get("cpuArchitecture", "X86_64"),
        pid_mode=found.get("pidMode", ""),
        task_role=task_role,
        execution_role=execution_role,
    )


def lowered(value: Any) -> Any:
    """The same with each key beginning in lower case, as ECS has them; but not the keys of maps."""
    if isinstance(value, list):
        return [lowered(each) for each in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key[:1].lower() + key[1:]: each if key in {"Options", "options"} else lowered(each)
        for key, each in value.items()
    }


def _container(given: Mapping[str, Any]) -> Container:
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
