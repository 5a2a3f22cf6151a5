"""`moor run`: one ECS task, all of its lines, its exit code; and it is stopped when we are."""

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.stub import Stubber

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.one_off import (
    container_command,
    exit_code,
    run_task_arguments,
    start,
    stopped_if_interrupted,
    watch,
)
from scripts.ecs.services import find_service
from scripts.ecs.tasks import Container
from scripts.errors import OperatorError
from scripts.logs.log_reading import Event
from service.contract import ProcessName
from tests.scripts.cloud import NAMES, aws, client, make_log_groups, write_lines
from tests.scripts.stage import Container as MotoContainer
from tests.scripts.stage import backend, make_stage
from tests.scripts.values import SERVICE, TASK

__all__ = ["aws"]

WORKER = ProcessName.WORKER


def test_program_and_process_of_the_image_follow_its_entry_point() -> None:
    assert container_command(["python", "-V"]) == ["run", "python", "-V"]
    assert container_command(["migrate"]) == ["migrate"]


def test_task_is_started_where_the_services_own_are() -> None:
    overrides = {"containerOverrides": [{"name": "worker", "command": ["run", "true"]}]}
    assert run_task_arguments(
        SERVICE, task_definition="arn:d:3", started_by="moor-run", overrides=overrides,
        has_exec=True,
    ) == {
        "cluster": SERVICE.cluster_arn,
        "taskDefinition": "arn:d:3",
        "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "platformVersion": "LATEST",
        "launchType": "FARGATE",
        "overrides": overrides,
        "startedBy": "moor-run",
        "enableExecuteCommand": True,
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
        "count": 1,
    }  # fmt: skip


@pytest.fixture
def started(aws: Aws) -> Any:
    """moto's own object of a one-off ECS task."""
    make_stage()
    make_log_groups()
    service = find_service(aws, WORKER)
    arn = start(
        aws,
        run_task_arguments(
            service, task_definition=service.task_definition, started_by="moor-run",
            overrides={}, has_exec=False,
        ),
    )  # fmt: skip
    task = backend().tasks[NAMES.cluster][arn]
    task.containers = [MotoContainer("migrate"), MotoContainer("worker")]
    return task


def end(task: Any, code: int | None, reason: str = "Essential container in task exited") -> None:
    task.last_status, task.stopped_reason = "STOPPED", reason
    task.containers[0].exit_code, task.containers[1].exit_code = 0, code


def stepping(*steps: Callable[[], object]) -> Clock:
    """At each sleep the next thing happens; only there does time pass."""
    left = list(steps)
    now = datetime.now(UTC)

    def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)
        if left:
            left.pop(0)()

    return Clock(now=lambda: now, sleep=sleep)


def test_every_line_is_shown_once_the_late_ones_too(aws: Aws, started: Any) -> None:
    now = int(time.time() * 1000)
    stream = f"worker/worker/{started.id}"
    clock = stepping(
        lambda: write_lines(WORKER, f"migrate/migrate/{started.id}", (now, "migrated")),
        lambda: write_lines(WORKER, stream, (now + 1, "one"), (now + 3, "three")),
        lambda: write_lines(WORKER, "worker/worker/another", (now + 1, "not ours")),
        lambda: end(started, 5),
        lambda: write_lines(WORKER, stream, (now + 2, "two, late"), (now + 4, "four")),
    )
    shown: list[Event] = []
    task = watch(aws, started.task_arn, WORKER, shown.append, clock)
    assert [each.message for each in shown] == ["migrated", "one", "three", "two, late", "four"]
    assert exit_code(task, WORKER) == 5


def test_task_that_never_began_is_explained() -> None:
    task = replace(
        TASK,
        stop_reason="Dependency failed",
        containers=(Container("migrate", "STOPPED", 1), Container("worker", "STOPPED")),
    )
    with pytest.raises(OperatorError) as caught:
        exit_code(task, WORKER)
    assert str(caught.value) == (
        "the ECS task ended before the command began: Dependency failed (migrate: exit code 1)"
    )


def test_ecs_that_starts_nothing_says_why(aws: Aws) -> None:
    with Stubber(aws._client("ecs")) as stub:
        failure = {"arn": "x", "reason": "Capacity is unavailable at this time", "detail": "a"}
        stub.add_response("run_task", {"tasks": [], "failures": [failure]})
        with pytest.raises(OperatorError, match="Capacity is unavailable at this time a"):
            start(aws, {"taskDefinition": "x"})


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit, BrokenPipeError])
def test_task_is_stopped_when_we_are_and_that_is_said(
    aws: Aws, started: Any, capsys: pytest.CaptureFixture[str], end: type[BaseException]
) -> None:
    with (
        pytest.raises(end),
        stopped_if_interrupted(aws, started.task_arn, "moor run was interrupted"),
    ):
        raise end
    assert f"stopped ECS task {started.id}" in capsys.readouterr().err
    assert started.stopped_reason == "moor run was interrupted"
    assert started.desired_status == "STOPPED"


def test_task_goes_on_when_only_we_have_lost_sight_of_it(
    aws: Aws, started: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with (
        pytest.raises(OperatorError),
        stopped_if_interrupted(aws, started.task_arn, "moor run was interrupted"),
    ):
        raise OperatorError("the network is gone")
    said = capsys.readouterr().err
    assert f"`moor logs --follow --task {started.id} --stage dev`" in said
    assert started.desired_status == "RUNNING"
    assert client("ecs").list_tasks(cluster=NAMES.cluster)["taskArns"] == [started.task_arn]
