"""ECS's ExecuteCommand, which moto lacks: checks the request as ECS does and opens a session."""

from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend
from moto.ecs.responses import EC2ContainerServiceResponse

from scripts.twin.ecs import lookup
from scripts.twin.ssm.sessions import Sessions

NOT_ENABLED = (
    "The execute command failed because execute command was not enabled when the task was run or "
    "the execute command agent isn't running. Wait and try again or run a new task with execute "
    "command enabled and try again."
)


class TargetNotConnectedError(ECSException):
    """The container does not run."""

    def __init__(self) -> None:
        super().__init__(
            "TargetNotConnectedException",
            "The execute command failed due to an internal error. Try again later.",
        )


def apply(sessions: Sessions) -> None:
    """Give moto ExecuteCommand, which opens its sessions in `sessions`."""

    def execute_command(self: EC2ContainerServiceResponse) -> ActionResult:
        if not self._get_param("interactive"):
            raise InvalidParameterException("Interactive is the only mode supported currently.")
        command = self._get_param("command")
        cluster, named = self._get_param("cluster") or "default", self._get_param("task")
        task, container = _target(self.ecs_backend, cluster, named, self._get_param("container"))
        session = sessions.open(container, command)
        return ActionResult(
            {
                "clusterArn": task.cluster_arn,
                "containerArn": container.container_arn,
                "containerName": container.name,
                "interactive": True,
                "taskArn": task.task_arn,
                "session": {
                    "sessionId": session.id,
                    "streamUrl": sessions.url_of(session),
                    "tokenValue": session.token,
                },
            }
        )

    EC2ContainerServiceResponse.execute_command = execute_command  # type: ignore[attr-defined]


def _target(
    ecs: EC2ContainerServiceBackend, cluster: str, named: str, container: str | None
) -> tuple[Any, Any]:
    arn = ecs._get_cluster(cluster).arn  # noqa: SLF001
    wanted = named.rsplit("/", maxsplit=1)[-1]
    task = next(
        (each for each in lookup.tasks(ecs) if each.id == wanted and each.cluster_arn == arn), None
    )
    if task is None:
        raise InvalidParameterException("The specified task wasn't found.")
    if task.desired_status == "STOPPED" or task.last_status == "STOPPED":
        raise InvalidParameterException("The specified task is stopped or about to stop.")
    if not getattr(task, "enable_execute_command", False):
        raise InvalidParameterException(NOT_ENABLED)
    if container is None and len(task.containers) > 1:
        names = ", ".join(each.name for each in task.containers)
        raise InvalidParameterException(
            f"The task has several containers, so a container name is required: {names}."
        )
    for each in task.containers:
        if container in (None, each.name):
            if not each.is_running:
                raise TargetNotConnectedError
            return task, each
    raise InvalidParameterException(f"The task has no container named {container}.")
