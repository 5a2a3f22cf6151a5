"""The task definition for `moor debug`: a copy of a process's own that only sleeps."""

from typing import Any

from scripts.aws import Answer
from service.contract import RUN, ProcessName

# Keys that `describe_task_definition` returns and `register_task_definition` does not take.
READ_ONLY = {
    "taskDefinitionArn", "revision", "status", "requiresAttributes", "compatibilities",
    "registeredAt", "registeredBy", "deregisteredAt", "deleteRequestedAt",
}  # fmt: skip
# Keys of the container that belong to the process, which does not run in the copy.
PROCESS_ONLY = {"dependsOn", "healthCheck", "command", "entryPoint", "readonlyRootFilesystem"}


def debug_family(family: str) -> str:
    """The family of the copies, so that the process's latest revision is never one of them."""
    return f"{family}-debug"


def debug_definition(
    definition: Answer, container: ProcessName, *, seconds: int, role: str = ""
) -> dict[str, Any]:
    """The arguments of `register_task_definition`, from a described `taskDefinition`.

    The copy has the same image, environment, secrets, log and roles; `role`, where given, is the
    ARN of another task role. It has one container, without `migrate`, that sleeps for `seconds` and
    ends. ECS exec needs a root that it can write to, and an init process to reap the children of a
    shell.
    """
    (found,) = (each for each in definition["containerDefinitions"] if each["name"] == container)
    parameters = found.get("linuxParameters", {}) | {"initProcessEnabled": True}
    copy = {
        **{key: value for key, value in found.items() if key not in PROCESS_ONLY},
        "command": [RUN, "sleep", str(seconds)],
        "essential": True,
        "readonlyRootFilesystem": False,
        "linuxParameters": parameters,
    }
    return {
        **{key: value for key, value in definition.items() if key not in READ_ONLY},
        "family": debug_family(definition["family"]),
        **({"taskRoleArn": role} if role else {}),
        "containerDefinitions": [copy],
    }
