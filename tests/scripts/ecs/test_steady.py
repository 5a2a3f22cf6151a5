"""What the answers of ECS say about a deployment, by value."""

from typing import Any

import pytest

from scripts.ecs.steady import RolledBackError, Stopped, is_planned, why_not_steady

OLD, NEW = (
    "arn:aws:ecs:us-east-1:1:task-definition/a:1",
    "arn:aws:ecs:us-east-1:1:task-definition/a:2",
)


def service(running: int = 1, *, current: str = NEW, **deployments: str) -> dict[str, Any]:
    """As describe-services tells it; `deployments` are rollout states by new and old."""
    arns = {"new": NEW, "old": OLD}
    states = deployments or {"new": "COMPLETED"}
    return {
        "serviceName": "api-service",
        "taskDefinition": current,
        "runningCount": running,
        "desiredCount": 1,
        "deployments": [
            {"taskDefinition": arns[name], "rolloutState": state, "rolloutStateReason": "no luck"}
            for name, state in states.items()
        ],
    }


def test_a_service_is_steady_when_as_many_as_wanted_run_of_what_was_deployed() -> None:
    assert why_not_steady(service(), NEW) is None


@pytest.mark.parametrize(
    ("found", "reason"),
    [
        (service(0), "0 of 1 ECS tasks run"),
        (service(2), "2 of 1 ECS tasks run"),
        (service(new="IN_PROGRESS"), "waits for its health"),
        (service(new="COMPLETED", old="COMPLETED"), "the deployment before"),
    ],
)
def test_what_is_missing_is_said(found: dict[str, Any], reason: str) -> None:
    assert reason in (why_not_steady(found, NEW) or "")


@pytest.mark.parametrize(
    "found", [service(new="FAILED"), service(current=OLD, old="COMPLETED", new="FAILED")]
)
def test_a_deployment_that_ecs_gave_up_is_not_waited_for(found: dict[str, Any]) -> None:
    with pytest.raises(RolledBackError, match="api-service failed: no luck"):
        why_not_steady(found, NEW)


def test_the_container_that_failed_is_named_with_its_exit_code() -> None:
    task = {
        "taskArn": "arn:task/1",
        "stoppedReason": "Essential container in task exited",
        "containers": [{"name": "migrate", "exitCode": 0}, {"name": "api", "exitCode": 3}],
    }

    assert Stopped.of(task) == Stopped(
        "arn:task/1", "Essential container in task exited (api: exit code 3)", "api"
    )


def test_an_ecs_task_that_was_replaced_has_not_failed() -> None:
    assert is_planned({"stoppedReason": "Scaling activity initiated by (deployment ecs-svc/1)"})
    assert not is_planned({"stoppedReason": "Task failed ELB health checks"})
