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
    return _by("runtime_id", runtime_id, ecs)


def by_credentials_id(ecs: EC2ContainerServiceBackend, id: str) -> tuple[Any, Any] | None:
    """The ECS task and the container that gets its credentials by this id, or None."""
    return _by("credentials_id", id, ecs)


def _by(name: str, value: str, ecs: EC2ContainerServiceBackend) -> tuple[Any, Any] | None:
    for task in tasks(ecs):
        for container in task.containers:
            if getattr(container, name, None) == value:
                return task, container
    return None
