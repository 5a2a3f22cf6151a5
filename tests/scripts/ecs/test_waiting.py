"""What is being waited for is said in words, and a wait ends for what ECS itself says."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from scripts.ecs.autoscaling import Bounds
from scripts.ecs.tasks import Container, Task
from scripts.ecs.waiting import count_missing, details, rollout_missing
from scripts.errors import OperatorError
from tests.scripts.values import AT, DEFINITION, ROLLOUT, SERVICE, TASK

TWO = Bounds(2, 2)
PENDING = replace(TASK, status="PENDING", containers=())
MIGRATING = replace(
    PENDING,
    containers=(Container("migrate", "RUNNING", None, ""), Container("api", "PENDING", None, "")),
)


@pytest.mark.parametrize(
    ("tasks", "says"),
    [
        ([], ""),
        ([TASK], ""),
        ([replace(TASK, status="STOPPED", wanted="RUNNING")], ""),
        ([replace(PENDING, is_pulling=True)], ": 1 PENDING (pulling image)"),
        ([MIGRATING, MIGRATING], ": 2 PENDING (running migrate)"),
        ([PENDING], ": 1 PENDING (waiting for its containers)"),
        (
            [replace(TASK, status="PROVISIONING"), replace(TASK, status="ACTIVATING")],
            ": 1 PROVISIONING (making its network interface), "
            "1 ACTIVATING (registering at the load balancer)",
        ),
        ([replace(TASK, wanted="STOPPED")], ": 1 RUNNING (about to stop)"),
        ([replace(TASK, wanted="STOPPED", status="STOPPING")], ": 1 STOPPING (draining)"),
        ([replace(TASK, status="SOMETHING_NEW")], ": 1 SOMETHING_NEW (starting)"),
    ],
)
def test_each_state_has_its_meaning(tasks: Sequence[Task], says: str) -> None:
    assert details(tasks) == says


def test_a_count_is_there_when_as_many_run() -> None:
    assert count_missing(TWO, SERVICE, list) is None


@pytest.mark.parametrize(
    ("running", "pending", "says"),
    [(1, 1, "1 of 2 running"), (2, 1, "2 of 2 running"), (5, 0, "5 of 2 running")],
)
def test_a_count_that_is_not_there_is_said(running: int, pending: int, says: str) -> None:
    rollout = replace(ROLLOUT, running=running, pending=pending)
    found = count_missing(TWO, replace(SERVICE, rollouts=(rollout,)), lambda: [PENDING])
    assert found == f"{says}: 1 PENDING (waiting for its containers)"


def test_an_answer_from_before_the_change_does_not_end_the_wait() -> None:
    assert count_missing(Bounds(3, 3), SERVICE, list) == "2 of 3 running"


def test_the_autoscaler_may_choose_within_its_bounds() -> None:
    assert count_missing(Bounds(1, 4), SERVICE, list) is None


def test_a_rollout_is_done_when_ecs_says_so() -> None:
    assert rollout_missing(ROLLOUT)(SERVICE, list) is None


def test_only_the_ecs_tasks_of_the_rollout_are_counted() -> None:
    rollout = replace(ROLLOUT, state="IN_PROGRESS", running=1, failed=2)
    others = [replace(PENDING, started_by="ecs-svc/0"), PENDING]
    found = rollout_missing(ROLLOUT)(replace(SERVICE, rollouts=(rollout,)), lambda: others)
    assert found == (
        "1 of 2 new ECS tasks running, 2 failed: 1 PENDING (waiting for its containers)"
    )


def test_a_rollout_that_failed_ends_the_wait_with_the_reason() -> None:
    rollout = replace(ROLLOUT, state="FAILED", reason="circuit breaker", is_primary=False)
    with pytest.raises(OperatorError, match="was not completed: circuit breaker"):
        rollout_missing(ROLLOUT)(replace(SERVICE, rollouts=(rollout,)), list)


def test_a_rollout_that_ecs_does_not_show_yet_is_waited_for() -> None:
    begun = replace(ROLLOUT, id="ecs-svc/2", created=AT + timedelta(seconds=1))
    assert rollout_missing(begun)(SERVICE, list) == "ECS is making the deployment"


def test_a_rollout_that_a_later_one_has_replaced_is_not() -> None:
    begun = replace(ROLLOUT, id="ecs-svc/2", created=AT - timedelta(seconds=1))
    with pytest.raises(OperatorError, match="another deployment"):
        rollout_missing(begun)(SERVICE, list)


def test_a_rollout_that_was_there_and_is_gone_has_failed() -> None:
    missing = rollout_missing(replace(ROLLOUT, task_definition=f"{DEFINITION}:5"))
    begun = replace(ROLLOUT, state="IN_PROGRESS", task_definition=f"{DEFINITION}:5")
    assert missing(replace(SERVICE, rollouts=(begun,)), list)
    with pytest.raises(OperatorError, match="ECS has gone to revision 4 instead"):
        missing(replace(SERVICE, rollouts=(replace(ROLLOUT, id="ecs-svc/0"),)), list)
