"""The calls of ECS that moto lacks or implements in part."""

from collections.abc import Callable
from typing import Any

from moto.core.responses import ActionResult
from moto.ecs.exceptions import ECSException
from moto.ecs.responses import EC2ContainerServiceResponse

from scripts.twin.ecs import protection, service_deployments
from scripts.twin.ecs.task_record import enable_exec

PAGE = 100  # the maximum of ListTasks and ListServices
PAGE_OF_SERVICES = 10  # ECS's default
# Parameters of CreateService that moto ignores.
KEPT_PARAMETERS = {
    "deploymentConfiguration": "deployment_configuration",
    "healthCheckGracePeriodSeconds": "health_check_grace_period_seconds",
    "enableExecuteCommand": "enable_execute_command",
    "capacityProviderStrategy": "capacity_provider_strategy",
    "availabilityZoneRebalancing": "availability_zone_rebalancing",
}

Call = Callable[[Any], ActionResult]


class ServiceNotActiveError(ECSException):
    """An ECS service that is draining or inactive cannot be changed."""

    def __init__(self) -> None:
        super().__init__("ServiceNotActiveException", "Service was not ACTIVE.")


def add() -> None:
    """Add these calls to moto's ECS; once in a process."""
    kind: Any = EC2ContainerServiceResponse
    kind.create_service = _create_service(kind.create_service)
    kind.run_task = _run_task(kind.run_task)
    kind.describe_tasks = _describe_tasks(kind.describe_tasks)
    kind.list_tasks = _paged(kind.list_tasks, "taskArns", PAGE)
    kind.list_services = _paged(kind.list_services, "serviceArns", PAGE_OF_SERVICES)
    kind.get_task_protection = _get_task_protection
    kind.update_task_protection = _update_task_protection
    kind.list_service_deployments = service_deployments.list_them
    kind.describe_service_deployments = service_deployments.describe
    kind.describe_service_revisions = service_deployments.describe_revisions


def _create_service(known: Call) -> Call:
    def create_service(self: Any) -> ActionResult:
        with self.ecs_backend.lock:  # the agent must not see an incomplete ECS service
            answer = known(self)
            service = answer.result["service"]  # type: ignore[index]
            for name, field in KEPT_PARAMETERS.items():
                value = self._get_param(name)
                if value is not None:
                    setattr(service, field, value)
            strategy = getattr(service, "capacity_provider_strategy", None)
            service.launch_type = None if strategy else "FARGATE"
            for deployment in service.deployments:
                deployment.launch_type = service.launch_type
                deployment.capacity_provider_strategy = strategy
            return answer

    return create_service


def _run_task(known: Call) -> Call:
    def run_task(self: Any) -> ActionResult:
        with self.ecs_backend.lock:
            answer = known(self)
            for task in answer.result["tasks"]:  # type: ignore[index]
                enable_exec(task, is_enabled=bool(self._get_param("enableExecuteCommand")))
            return answer

    return run_task


def _describe_tasks(known: Call) -> Call:
    def describe_tasks(self: Any) -> ActionResult:
        answer = known(self)
        result: dict[str, Any] = answer.result  # type: ignore[assignment]
        found = {each.id for each in result["tasks"]}
        result["failures"] = [
            {"arn": each, "reason": "MISSING"}
            for each in self._get_param("tasks", [])
            if each.split("/")[-1] not in found
        ]
        return answer

    return describe_tasks


def _paged(known: Call, key: str, usual: int) -> Call:
    def page(self: Any) -> ActionResult:
        everything = known(self).result[key]  # type: ignore[index]
        start = int(self._get_param("nextToken") or 0)
        end = start + min(int(self._get_param("maxResults") or usual), PAGE)
        answer = {key: everything[start:end]}
        if end < len(everything):
            answer["nextToken"] = str(end)
        return ActionResult(answer)

    return page


def _get_task_protection(self: Any) -> ActionResult:
    cluster, tasks = self._get_param("cluster", "default"), self._get_param("tasks", [])
    return ActionResult(protection.get(self.ecs_backend, cluster, tasks))


def _update_task_protection(self: Any) -> ActionResult:
    return ActionResult(
        protection.update(
            self.ecs_backend,
            self._get_param("cluster", "default"),
            self._get_param("tasks", []),
            is_wanted=bool(self._get_param("protectionEnabled")),
            minutes=int(self._get_param("expiresInMinutes") or protection.MINUTES),
        )
    )
