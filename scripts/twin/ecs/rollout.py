"""Decides whether a deployment is complete, has failed, or is in progress."""

from collections.abc import Sequence
from typing import Any

from scripts.twin.ecs.deployment import (
    COMPLETED,
    FAILED,
    IN_PROGRESS,
    Deployment,
    roll_back,
    setting,
    threshold,
)
from scripts.twin.ecs.service_events import say
from scripts.twin.ecs.task import EcsTask


def judge(service: Any, tasks: Sequence[EcsTask]) -> None:
    """Set the state of the newest deployment, and add an event when the ECS service is steady."""
    primary: Deployment = service.deployments[0]
    if primary.rollout_state == IN_PROGRESS:
        if _is_complete(service, tasks):
            primary.set_state(COMPLETED, f"ECS deployment {primary.id} completed.")
            say(service, "deployment completed.", primary)
        elif _is_breaker_tripped(service, primary):
            _fail(service, primary)
            primary = service.deployments[0]
    alive = {task.record.started_by for task in tasks}
    service.deployments = [
        each for each in service.deployments if each is primary or each.id in alive
    ]
    new = _of(primary, tasks)
    is_steady = (
        primary.rollout_state == COMPLETED
        and len(service.deployments) == 1
        and len(new) == service.desired_count
        and all(task.is_running for task in new)
    )
    if is_steady and not service.is_steady:
        say(service, "has reached a steady state.")
    service.is_steady = is_steady


def _is_complete(service: Any, tasks: Sequence[EcsTask]) -> bool:
    primary: Deployment = service.deployments[0]
    new = _of(primary, tasks)
    if len(new) != service.desired_count or not all(task.is_healthy for task in new):
        return False
    old = [task for task in tasks if task.record.started_by != primary.id]
    early = setting(service, "earlySuccessCriteria", {})
    if early.get("enable") and early.get("sourceServiceRevisionCleanup") == "DEFERRED":
        return not any(task.is_wanted for task in old)  # they may drain in the background
    return not old


def _is_breaker_tripped(service: Any, primary: Deployment) -> bool:
    breaker = setting(service, "deploymentCircuitBreaker", {})
    return bool(breaker.get("enable")) and primary.failed_tasks >= threshold(service)


def _fail(service: Any, failed: Deployment) -> None:
    reason = "tasks failed to start."
    failed.set_state(FAILED, f"ECS deployment circuit breaker: {reason}")
    say(service, f"deployment failed: {reason}", failed)
    if setting(service, "deploymentCircuitBreaker", {}).get("rollback"):
        target = roll_back(service, failed)
        if target:
            say(service, f"rolling back to deployment {target.id}.")


def _of(deployment: Deployment, tasks: Sequence[EcsTask]) -> list[EcsTask]:
    return [t for t in tasks if t.is_wanted and t.record.started_by == deployment.id]
