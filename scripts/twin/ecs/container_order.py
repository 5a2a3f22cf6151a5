"""The order in which an ECS task's containers start and stop, by their dependsOn."""

from collections.abc import Mapping

from scripts.twin.ecs.container import PENDING, STOPPED, CannotStartError, Container
from scripts.twin.ecs.health_check import HEALTHY, UNHEALTHY

# The message of the ECS agent.
NEVER = (
    "dependency graph: failed to resolve container ordering dependency [{0}] for target [{1}] as "
    "dependency {2}"
)


def may_start(container: Container, others: Mapping[str, Container]) -> bool:
    """Are all its dependencies met? Raises `CannotStartError` if one can never be met."""
    return all(
        _holds(each["condition"], others[each["containerName"]], container)
        for each in container.definition.get("dependsOn") or []
    )


def may_stop(container: Container, others: Mapping[str, Container]) -> bool:
    """Have all containers that depend on it ended?"""
    return not any(
        other.is_running and each["containerName"] == container.name
        for other in others.values()
        for each in other.definition.get("dependsOn") or []
    )


def _holds(condition: str, needed: Container, container: Container) -> bool:
    has_ended = needed.last_status == STOPPED
    if condition == "START":
        return needed.last_status != PENDING
    if condition == "COMPLETE":
        return has_ended
    if condition == "SUCCESS":
        if has_ended and needed.exit_code != 0:
            raise _never(needed, container, "did not exit successfully.")
        return has_ended
    if has_ended or needed.health_status == UNHEALTHY:
        raise _never(needed, container, "is unhealthy.")
    return needed.health_status == HEALTHY


def _never(needed: Container, container: Container, why: str) -> CannotStartError:
    return CannotStartError(NEVER.format(needed.name, container.name, why))
