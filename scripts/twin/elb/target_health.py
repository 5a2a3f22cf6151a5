"""The targets of moto's target groups, with the health that the load balancer has found.

moto identifies a target by its address without the port, and calls each one healthy. Here all ECS
tasks share one address.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from moto.ec2.models import EC2Backend
from moto.elbv2.exceptions import InvalidTargetError, TargetGroupNotFoundError
from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeTargetGroup

HEALTHY, UNHEALTHY, INITIAL, DRAINING = "healthy", "unhealthy", "initial", "draining"

# Reason and description, in AWS's words.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/APIReference/API_TargetHealth.html
REGISTERING = ("Elb.RegistrationInProgress", "Target registration is in progress")
CHECKING = ("Elb.InitialHealthChecking", "Initial health checks in progress")
LEAVING = ("Target.DeregistrationInProgress", "Target deregistration is in progress")
ABSENT = ("Target.NotRegistered", "Target is not registered to the target group")


@dataclass(eq=False)  # two with equal fields are still two targets
class Target:
    """One registered target; `reason` and `description` are empty while it is healthy."""

    id: str
    port: int
    state: str = INITIAL
    reason: str = REGISTERING[0]
    description: str = REGISTERING[1]
    open_requests: int = 0
    drains_until: float | None = None  # time.monotonic(), once it is deregistered
    passed: int = field(default=0, repr=False)  # health checks in a row
    failed: int = field(default=0, repr=False)

    def set_state(self, state: str, reason: str = "", description: str = "") -> None:
        """Set the state, unless the target is draining."""
        if self.state != DRAINING:
            self.state, self.reason, self.description = state, reason, description

    def drain(self) -> None:
        self.set_state(DRAINING, *LEAVING)


def apply() -> None:
    """Patch moto in this process; a second time changes nothing."""
    FakeTargetGroup.register = _register  # type: ignore[method-assign]
    FakeTargetGroup.deregister = _deregister  # type: ignore[method-assign]
    FakeTargetGroup.health_for = _health_for  # type: ignore[method-assign,assignment]
    ELBv2Backend.describe_target_health = _describe  # type: ignore[method-assign]


def targets_of(group: FakeTargetGroup) -> list[Target]:
    """All targets that are registered or drain."""
    return list(_known(group).values())


def find(group: FakeTargetGroup, id: str, port: int) -> Target | None:
    return _known(group).get(_key(id, port))


def forget(group: FakeTargetGroup, target: Target) -> None:
    """Remove a target that has drained, but not one that was registered again meanwhile."""
    key = _key(target.id, target.port)
    if _known(group).get(key) is target:
        del _known(group)[key]


def _key(id: str, port: int) -> str:
    return f"{id}:{port}"


def _known(group: FakeTargetGroup) -> dict[str, Target]:
    return group.targets  # type: ignore[return-value]


def _pairs(group: FakeTargetGroup, given: Iterable[dict[str, Any]]) -> list[tuple[str, int]]:
    return [(each["Id"], int(each.get("Port") or group.port)) for each in given]


def _register(self: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
    for id, port in _pairs(self, targets):
        known = find(self, id, port)
        if known is None or known.state == DRAINING:
            _known(self)[_key(id, port)] = Target(id, port)


def _deregister(self: FakeTargetGroup, targets: list[dict[str, Any]]) -> None:
    for id, port in _pairs(self, targets):
        target = find(self, id, port)
        if target is None:
            raise InvalidTargetError()
        target.drain()


def _health_for(
    self: FakeTargetGroup, target: dict[str, Any], _ec2_backend: EC2Backend | None = None
) -> FakeHealthStatus:
    ((id, port),) = _pairs(self, [target])
    known = find(self, id, port)
    if known is None:
        return FakeHealthStatus(id, str(port), str(port), "unused", *ABSENT)
    state, reason, words = known.state, known.reason, known.description
    return FakeHealthStatus(id, str(port), str(port), state, reason or None, words or None)


def _describe(
    self: ELBv2Backend, target_group_arn: str, targets: list[dict[str, Any]]
) -> list[FakeHealthStatus]:
    group = self.target_groups.get(target_group_arn)
    if group is None:
        raise TargetGroupNotFoundError()
    wanted = targets or [{"Id": each.id, "Port": each.port} for each in targets_of(group)]
    return [_health_for(group, each) for each in wanted]
