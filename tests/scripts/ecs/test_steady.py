"""What the answers of ECS say about a deployment, by value."""

from dataclasses import replace

import pytest

from scripts.ecs.services import Service
from scripts.ecs.steady import RolledBackError, why_not_steady
from tests.scripts.values import ROLLOUT, SERVICE

OLD, NEW = (
    "arn:aws:ecs:us-east-1:1:task-definition/a:1",
    "arn:aws:ecs:us-east-1:1:task-definition/a:2",
)


def service(running: int = 1, *, current: str = NEW, **rollouts: str) -> Service:
    """`rollouts` are states by new and old."""
    arns = {"new": NEW, "old": OLD}
    return replace(
        SERVICE,
        task_definition=current,
        running=running,
        desired=1,
        rollouts=tuple(
            replace(ROLLOUT, task_definition=arns[name], state=state, reason="no luck")
            for name, state in (rollouts or {"new": "COMPLETED"}).items()
        ),
    )


def test_a_service_is_steady_when_as_many_as_wanted_run_of_what_was_deployed() -> None:
    assert why_not_steady(service(), NEW) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (service(0), "0 of 1 ECS tasks run"),
        (service(2), "2 of 1 ECS tasks run"),
        (service(new="IN_PROGRESS"), "waits until they are healthy"),
        (service(new="COMPLETED", old="COMPLETED"), "the deployment before"),
    ],
)
def test_what_is_missing_is_said(found: Service, reason: str) -> None:
    assert reason in (why_not_steady(found, NEW) or "")


@pytest.mark.parametrize(
    "found", [service(new="FAILED"), service(current=OLD, old="COMPLETED", new="FAILED")]
)
def test_a_deployment_that_ecs_gave_up_is_not_waited_for(found: Service) -> None:
    with pytest.raises(RolledBackError, match="worker-service failed: no luck"):
        why_not_steady(found, NEW)
