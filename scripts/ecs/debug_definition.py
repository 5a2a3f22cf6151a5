"""The twin of a task definition that is there to be looked into: it does nothing of its own."""

from typing import Any

from scripts.aws import Answer
from service.contract import RUN, ProcessName

# What `describe_task_definition` tells and `register_task_definition` does not take.
TOLD_ONLY = {
    "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities",
    "registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt",
}  # fmt: skip
# Of the container: what belongs to the process that does not run in it.
PROCESS_ONLY = {"dependsOn", "healthCheck", "command", "entryPoint", "readonlyRootFilesystem"}


def debug_family(family: str) -> str:
    """Of its own, so that no `latest revision` of the process is ever this one."""
    return f"{family}-debug"


def debug_definition(
    definition: Answer, process: ProcessName, *, seconds: int, role: str = ""
) -> dict[str, Any]:
    """For `register_task_definition`, out of the `taskDefinition` that is described.

    The same image, environment, secrets, roles (but for the task role, where `role` is its ARN) and
    log; one container, without `migrate`, that
    sleeps and then ends; a root that the agent behind exec can write to, and an init process that
    reaps what a shell leaves behind.
    """
    (found,) = (each for each in definition["containerDefinitions"] if each["name"] == process)
    parameters = found.get("linuxParameters", {}) | {"initProcessEnabled": True}
    container = {
        **{key: value for key, value in found.items() if key not in PROCESS_ONLY},
        "command": [RUN, "sleep", str(seconds)],
        "essential": True,
        "readonlyRootFilesystem": False,
        "linuxParameters": parameters,
    }
    return {
        **{key: value for key, value in definition.items() if key not in TOLD_ONLY},
        "family": debug_family(definition["family"]),
        **({"taskRoleArn": role} if role else {}),
        "containerDefinitions": [container],
    }
