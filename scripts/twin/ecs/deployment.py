"""A deployment of an ECS service, its rollback, and the list of earlier ones."""

import math
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

IN_PROGRESS, COMPLETED, FAILED = "IN_PROGRESS", "COMPLETED", "FAILED"
KEPT = 20
# The circuit breaker trips at half the desired count, within these limits (Developer Guide, "How
# the Amazon ECS deployment circuit breaker detects failures").
FAILURES_MIN, FAILURES_MAX = 3, 200
BACK_OFF_SECONDS, BACK_OFF_SECONDS_MAX = 0.5, 30.0


@dataclass(eq=False)  # two with equal fields are still two deployments
class Deployment:
    """A deployment; moto reads its fields by ECS's names in snake case."""

    task_definition: str
    desired_count: int
    network_configuration: Any
    platform_version: str
    launch_type: str | None
    capacity_provider_strategy: Any
    id: str = field(default_factory=lambda: f"ecs-svc/{uuid.uuid4().int % 10**19:019d}")
    status: str = "PRIMARY"
    running_count: int = 0
    pending_count: int = 0
    failed_tasks: int = 0  # in a row; a healthy ECS task resets it
    rollout_state: str = IN_PROGRESS
    rollout_state_reason: str = ""
    platform_family: str = "Linux"
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    # Only for the agent and the list of service deployments.
    revision: str = field(default_factory=lambda: f"{uuid.uuid4().int % 10**19:019d}")
    not_before: float = 0.0  # time.monotonic() of the next start after a failure
    is_rollback: bool = False
    finished_at: datetime | None = None
    has_completed: bool = False
    rollback: "Deployment | None" = None  # the deployment that ECS went back to when this failed
    rollback_at: datetime | None = None
    source: "Deployment | None" = None

    def set_state(self, state: str, reason: str) -> None:
        """Set the state of the rollout."""
        self.rollout_state, self.rollout_state_reason = state, reason
        self.updated_at = datetime.now(UTC)
        if state != IN_PROGRESS:
            self.finished_at = self.updated_at
        self.has_completed |= state == COMPLETED

    def note_failure(self, now: float) -> None:
        """Count an ECS task that ended before it was healthy; the next start waits longer."""
        self.failed_tasks += 1
        wait = BACK_OFF_SECONDS * 2 ** min(self.failed_tasks - 1, 10)
        self.not_before = now + min(wait, BACK_OFF_SECONDS_MAX)


def begin(service: Any) -> Deployment:
    """Begin a deployment of the ECS service as it is now; it replaces the others."""
    known: list[Deployment] = [each for each in service.deployments if is_ours(each)]
    new = Deployment(
        task_definition=service.task_definition,
        desired_count=service.desired_count,
        network_configuration=service.network_configuration,
        platform_version=service.platform_version or "LATEST",
        launch_type=service.launch_type,
        capacity_provider_strategy=getattr(service, "capacity_provider_strategy", None),
        source=known[0] if known else None,
    )
    new.rollout_state_reason = f"ECS deployment {new.id} in progress."
    _promote(service, new, known)
    return new


def roll_back(service: Any, failed: Deployment) -> Deployment | None:
    """Go back to the last completed deployment; None if there is none, or if `failed` was itself a
    rollback."""
    if failed.is_rollback:
        return None
    history: list[Deployment] = service.history
    earlier = next((each for each in history if each is not failed and each.has_completed), None)
    if earlier is None:
        return None
    service.task_definition = earlier.task_definition
    service.network_configuration = earlier.network_configuration
    if earlier in service.deployments:
        target = earlier
        target.failed_tasks, target.not_before = 0, 0.0
        _promote(service, target, [each for each in service.deployments if each is not target])
    else:
        target = begin(service)
    target.is_rollback = True
    target.set_state(
        IN_PROGRESS, f"ECS deployment circuit breaker: rolling back to deploymentId {target.id}."
    )
    failed.rollback, failed.rollback_at = target, datetime.now(UTC)
    return target


def threshold(service: Any) -> int:
    """How many failures in a row trip the circuit breaker."""
    half: int = math.ceil(service.desired_count / 2)
    return min(max(half, FAILURES_MIN), FAILURES_MAX)


def setting(service: Any, name: str, default: Any) -> Any:
    """A value of the ECS service's deploymentConfiguration."""
    found = (getattr(service, "deployment_configuration", None) or {}).get(name)
    return default if found is None else found


def is_ours(deployment: Any) -> bool:
    """Is it one of ours? moto's own deployments are dicts."""
    return isinstance(deployment, Deployment)


def _promote(service: Any, new: Deployment, others: list[Deployment]) -> None:
    for each in others:
        each.status = "ACTIVE"
    new.status = "PRIMARY"
    # A new list, because another thread may be reading the old one.
    service.deployments = [new, *others]
    history = getattr(service, "history", [])
    service.history = [new, *(each for each in history if each is not new)][:KEPT]
