"""One ECS task, as `describe_tasks` answers; the reasons are ECS's own words."""

from dataclasses import replace
from typing import Any

from scripts.ecs.tasks import Container, Task, read_tasks
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.stage import agent
from tests.scripts.values import AT, TASK

ARN = f"arn:aws:ecs:us-east-1:123456789012:task/{DEV_PREFIX}-cluster/0123"


def described(**given: Any) -> Task:
    (task,) = read_tasks({"tasks": [{"taskArn": ARN, "taskDefinitionArn": "arn:x:1", **given}]})
    return task


def test_a_running_task_is_read_with_the_agent_behind_sessions() -> None:
    task = described(
        lastStatus="RUNNING", startedAt=AT, enableExecuteCommand=True,
        group=f"service:{DEV_PREFIX}-worker-service",
        containers=[{"name": "worker", "lastStatus": "RUNNING", "runtimeId": "r-1",
                     "managedAgents": agent("RUNNING")}],
    )  # fmt: skip

    assert (task.id, task.service) == ("0123", f"{DEV_PREFIX}-worker-service")
    assert (task.started, task.has_exec, task.stopped) == (AT, True, None)
    assert task.containers == (
        Container("worker", "RUNNING", runtime_id="r-1", exec_agent="RUNNING"),
    )


def test_a_task_that_waits_counts_from_when_it_was_made() -> None:
    assert described(createdAt=AT).started == AT


def test_why_a_task_stopped_is_read() -> None:
    task = described(
        stoppedReason="Essential container in task exited",
        containers=[{"name": "migrate", "exitCode": 0}, {"name": "worker", "exitCode": 137},
                    {"name": "never started"}],
    )  # fmt: skip

    assert task.exit_codes == {"migrate": 0, "worker": 137}
    assert task.failed == Container("worker", "", 137)
    assert task.why_stopped == "Essential container in task exited (worker: exit code 137)"


def test_a_container_that_could_not_start_is_the_one_that_failed() -> None:
    task = described(containers=[{"name": "worker", "reason": "CannotPullContainerError: x"}])

    assert task.failed is not None
    assert task.why_stopped == "no reason is given (worker: CannotPullContainerError: x)"


def test_an_ecs_task_that_was_replaced_has_not_failed() -> None:
    reason = "Scaling activity initiated by (deployment ecs-svc/1)"
    assert replace(TASK, stop_reason=reason).is_replaced
    assert not replace(TASK, stop_reason="Task failed ELB health checks").is_replaced
