"""Finds ECS tasks and containers in moto's state."""

from collections.abc import Iterator
from typing import Any

from moto.ecs.models import EC2ContainerServiceBackend


def tasks(ecs: EC2ContainerServiceBackend) -> Iterator[Any]:
    """All ECS tasks in moto's state, of every cluster."""
    for of_cluster in list(ecs.tasks.values()):
        yield from list(of_cluster.values())


def by_runtime_id(ecs: EC2ContainerServiceBackend, runtime_id: str) -> tuple[Any, Any] | None:
    """The ECS task and the container with that runtime id, or None."""
    for task in tasks(ecs):
        for container in task.containers:
            if getattr(container, "runtime_id", None) == runtime_id:
                return task, container
    return None
