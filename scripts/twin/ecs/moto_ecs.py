"""moto's ECS for the agent: a call changes only what is wanted, and the agent does the rest."""

import threading
from typing import Any

from moto.ec2.models import ec2_backends
from moto.ecs import models
from moto.ecs.exceptions import EcsClientException, InvalidParameterException
from moto.ecs.models import EC2ContainerServiceBackend, Service, Task
from moto.moto_api import state_manager

from scripts.twin.ecs import calls
from scripts.twin.ecs.deployment import Deployment, begin
from scripts.twin.ecs.task_record import ask_to_stop, enable_exec, has_ended, now, prepare

NEVER = 10**9
# Parameters of UpdateService that only new ECS tasks can have.
NEEDS_DEPLOYMENT = [
    "load_balancers", "network_configuration", "platform_version", "capacity_provider_strategy"
]  # fmt: skip


class EcsBackend(EC2ContainerServiceBackend):
    """moto's state of ECS in one region. `lock` protects it, `asked` is set when it changes."""

    __module__ = models.__name__  # moto finds the URLs of a backend by its module

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self.lock = threading.RLock()
        self.asked = threading.Event()

    def register_task_definition(self, *given: Any, **named: Any) -> Any:
        made: Any = super().register_task_definition(*given, **named)
        made.registered_at = now()
        return made

    def create_service(self, cluster_str: str, service_name: str, *given: Any, **named: Any) -> Any:
        with self.lock:
            known = self.services.get(f"{self._get_cluster(cluster_str).name}:{service_name}")
            if known and known.status == "ACTIVE":
                raise InvalidParameterException("Creation of service was not idempotent.")
            service: Any = super().create_service(cluster_str, service_name, *given, **named)
            service.created_at = service.deployments[0]["createdAt"]
            service.deployments, service.history = [], []
            service.running_count = service.pending_count = 0
            service.is_steady = False
            begin(service)
            self.asked.set()
            return service

    def update_service(self, service_properties: dict[str, Any]) -> Any:
        given = {name: each for name, each in service_properties.items() if each is not None}
        cluster = given.pop("cluster", "default")
        with self.lock:
            service: Any = self._get_service(cluster, given.pop("service").split("/")[-1])
            if service.status != "ACTIVE":
                raise calls.ServiceNotActiveError
            is_new = given.pop("force_new_deployment", False)
            if wanted := given.pop("task_definition", None):
                definition = self.describe_task_definition(wanted)
                if definition.status != "ACTIVE":
                    raise EcsClientException("TaskDefinition is inactive")
                is_new |= definition.arn != service.task_definition
                service.task_definition = definition.arn
            for name in NEEDS_DEPLOYMENT:
                is_new |= name in given and given[name] != (getattr(service, name, None) or [])
            for name, value in given.items():
                setattr(service, name, value)
            if is_new:
                begin(service)
            service.is_steady = False
            self.asked.set()
            return service

    def delete_service(self, cluster_name: str, service_name: str, force: bool) -> Any:
        with self.lock:
            service = self._get_service(cluster_name, service_name)
            if service.desired_count > 0 and not force:
                raise InvalidParameterException(
                    "The service cannot be stopped while it is scaled above 0."
                )
            service.status, service.desired_count = "DRAINING", 0
            self.asked.set()
            return service

    def list_services(self, *given: Any, **named: Any) -> list[str]:
        with self.lock:
            gone = {each.arn for each in self.services.values() if each.status == "INACTIVE"}
            return [arn for arn in super().list_services(*given, **named) if arn not in gone]

    def run_task(  # noqa: PLR0917 - moto's signature
        self,
        cluster_str: str,
        task_definition_str: str,
        count: int,
        overrides: Any,
        started_by: str,
        tags: Any,
        launch_type: str | None,
        *given: Any,
        **named: Any,
    ) -> list[Task]:
        with self.lock:
            tasks = super().run_task(
                cluster_str, task_definition_str, count, overrides, started_by, tags,
                None if any(given[3:]) else "FARGATE",  # given[3] is a strategy
                *given, **named,
            )  # fmt: skip
            for task in tasks:
                del self.tasks[task.cluster_name][task.task_arn]
                prepare(task, self.describe_task_definition(task_definition_str))
                self.tasks[task.cluster_name][task.task_arn] = task
            self.asked.set()
            return tasks

    def run_for(self, service: Service, deployment: Deployment) -> Task:
        """A new ECS task of the ECS service, for the agent to start."""
        definition = self.describe_task_definition(deployment.task_definition)
        cluster = self._get_cluster(service.cluster_name)
        strategy = deployment.capacity_provider_strategy
        task = Task(
            cluster=cluster,
            task_definition=definition,
            container_instance_arn=None,
            resource_requirements=None,
            backend=self,
            group=f"service:{service.name}",
            launch_type="FARGATE",
            started_by=deployment.id,
            tags=service.tags if service.propagate_tags == "SERVICE" else definition.tags,
            networking_configuration=deployment.network_configuration,
            capacity_provider_name=strategy[0]["capacityProvider"] if strategy else None,
        )
        prepare(task, definition)
        enable_exec(task, is_enabled=bool(getattr(service, "enable_execute_command", False)))
        self.tasks.setdefault(cluster.name, {})[task.task_arn] = task
        return task

    def stop_task(self, cluster_str: str, task_str: str, reason: str) -> Task:
        with self.lock:
            task = self.find_task(cluster_str, task_str)
            if task is None:
                raise InvalidParameterException("The referenced task was not found.")
            ask_to_stop(task, "UserInitiated", reason or "Task stopped by user")
            self.asked.set()
            return task

    def describe_tasks(self, cluster_str: str, tasks: list[str]) -> list[Task]:
        if not tasks:
            raise InvalidParameterException("Tasks cannot be empty.")
        with self.lock:
            found = (self.find_task(cluster_str, each) for each in dict.fromkeys(tasks))
            return [each for each in found if each is not None]

    def list_tasks(  # noqa: PLR0917 - moto's signature
        self,
        cluster_str: str | None = None,
        container_instance: str | None = None,
        family: str | None = None,
        started_by: str | None = None,
        service_name: str | None = None,
        desiredStatus: str | None = None,
    ) -> list[Task]:
        with self.lock:
            cluster = self._get_cluster(cluster_str or "default")
            service = service_name and self._get_service(cluster.name, service_name.split("/")[-1])
            return [
                task
                for task in self.tasks.get(cluster.name, {}).values()
                if task.desired_status == (desiredStatus or "RUNNING")
                and (not family or task.task_definition_arn.split("/")[-1].split(":")[0] == family)
                and (not started_by or task.started_by == started_by)
                and (not service or task.group == f"service:{service.name}")
                and not container_instance
            ]

    @staticmethod
    def _calculate_task_resource_requirements(task_definition: Any) -> dict[str, Any]:
        """Nothing to calculate: Fargate has room for every ECS task. moto's own fails where a
        container reserves no memory."""
        return {}

    def find_task(self, cluster_str: str, task: str) -> Task | None:
        """The ECS task with this ARN or id."""
        wanted = task.rsplit("/", maxsplit=1)[-1]
        of_cluster = self.tasks.get(self._get_cluster(cluster_str).name, {})
        return next((each for each in of_cluster.values() if each.id == wanted), None)

    def running_tasks(self) -> list[Task]:
        """The ECS tasks of every cluster that have not stopped."""
        return [
            task for tasks in self.tasks.values() for task in tasks.values() if not has_ended(task)
        ]

    def release_network(self, task: Task) -> None:
        """Delete its network interface, so that its subnet and security group can be deleted."""
        ec2 = ec2_backends[self.account_id][self.region_name]
        attachments: list[dict[str, Any]] = task.attachments
        for attachment in attachments:
            (interface,) = (
                each["value"]
                for each in attachment["details"]
                if each["name"] == "networkInterfaceId"
            )
            if attachment["status"] != "DELETED":
                attachment["status"] = "DELETED"
                ec2.delete_network_interface(interface)


def apply() -> None:
    """Replace moto's backend and calls by these, before moto's are first used."""
    # By default, moto moves an ECS task to its next state when it is described.
    state_manager.set_transition("ecs::task", {"progression": "manual", "times": NEVER})
    if models.ecs_backends.backend is not EcsBackend:
        models.ecs_backends.backend = EcsBackend
        models.ecs_backends.clear()
        calls.add()
