"""`moor scale`: the count that is asked for comes and stays, and nothing is left half done."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest

from scripts.aws import Aws
from scripts.commands.scale import Plan, Wanted, connections_warning, plan, run
from scripts.ecs.autoscaling import Autoscaling, Bounds
from scripts.errors import (
    DeniedError,
    NotDeployedError,
    OperatorError,
    OverdueError,
    RefusedError,
)
from scripts.target import Target
from service.contract import ProcessName
from stacks.config.read_stage import read_stage
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.values import SERVICE
from tests.scripts.world import NOW, REGION, World, before, deployed, protected, refuse

API, WORKER = ProcessName.API, ProcessName.WORKER


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


SCALING = Autoscaling(Bounds(1, 4))


@pytest.mark.parametrize(
    ("wanted", "scaling", "planned"),
    [
        (Wanted(count=3), SCALING, Plan(3, Bounds(3, 3))),
        (Wanted(count=9), SCALING, Plan(9, Bounds(9, 9))),
        (Wanted(count=0), SCALING, Plan(0, Bounds(0, 0))),
        (Wanted(count=3, maximum=8), SCALING, Plan(3, Bounds(3, 8))),
        (Wanted(count=3, minimum=1, maximum=8), SCALING, Plan(3, Bounds(1, 8))),
        (Wanted(minimum=3), SCALING, Plan(3, Bounds(3, 4))),
        (Wanted(minimum=6), SCALING, Plan(6, Bounds(6, 6))),
        (Wanted(maximum=1), SCALING, Plan(1, Bounds(1, 1))),
        (Wanted(maximum=0), SCALING, Plan(0, Bounds(0, 0))),
        (Wanted(minimum=0, maximum=9), SCALING, Plan(2, Bounds(0, 9))),
        (Wanted(count=3), None, Plan(3, None)),
    ],
)
def test_a_count_holds_and_bounds_leave_room(
    wanted: Wanted, scaling: Autoscaling | None, planned: Plan
) -> None:
    assert plan(wanted, replace(SERVICE, desired=2), scaling) == planned


@pytest.mark.parametrize(
    ("wanted", "scaling", "says"),
    [
        (Wanted(), SCALING, "scaled to"),
        (Wanted(minimum=4, maximum=2), SCALING, "do not fit"),
        (Wanted(count=0, minimum=1), SCALING, "count 0 do not fit"),
        (Wanted(count=9, maximum=8), SCALING, "count 9 do not fit"),
        (Wanted(count=3, maximum=8), None, "no autoscaler"),
        (Wanted(count=3, duration=timedelta(hours=1)), None, "no autoscaler"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_changes(
    wanted: Wanted, scaling: Autoscaling | None, says: str
) -> None:
    with pytest.raises(OperatorError, match=says):
        plan(wanted, SERVICE, scaling)


def test_a_count_is_reached_and_no_policy_can_undo_it(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run(world.aws, WORKER, Wanted(count=6), world.clock)
    assert world.service(WORKER).desired_count == 6
    assert world.bounds(WORKER) == Bounds(6, 6)
    assert len(world.tasks(WORKER)) == 6
    assert world.bounds(API) == Bounds(1, 4)
    said = capsys.readouterr().err
    assert "3 of 6 running: 3 PENDING (waiting for its containers)" in said
    assert "worker_min_count = 6, worker_max_count = 6" in said
    assert "`moor scale worker --min 1 --max 4 --stage dev`" in said
    assert "does not change the count" in said


def test_what_stages_toml_refuses_is_not_proposed_for_good(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run(world.aws, WORKER, Wanted(count=0), world.clock)
    said = capsys.readouterr().err
    assert "stages.toml cannot keep this: worker_max_count = 0" in said
    assert "To keep it" not in said


def test_without_an_autoscaler_the_count_alone_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(bounds=(None, None)) as world:
        run(world.aws, WORKER, Wanted(count=1), world.clock)
        assert world.service(WORKER).desired_count == 1
        assert world.bounds(WORKER) is None


def test_a_second_run_changes_nothing(world: World) -> None:
    run(world.aws, WORKER, Wanted(count=4), world.clock)
    for service, operation in (
        ("ecs", "update_service"),
        ("application-autoscaling", "register_scalable_target"),
        ("application-autoscaling", "delete_scheduled_action"),
    ):
        refuse(world.aws, service, operation, "AccessDeniedException")
    run(world.aws, WORKER, Wanted(count=4), world.clock)
    assert len(world.tasks(WORKER)) == 4


def test_the_bounds_come_back_by_aws_itself(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run(world.aws, WORKER, Wanted(count=6, duration=timedelta(hours=2)), world.clock)
    (action,) = world.reverts()
    assert action["Schedule"] == "at(2026-11-22T07:00:00)"
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 4}
    assert action["ResourceId"] == f"service/{DEV_PREFIX}-cluster/{DEV_PREFIX}-worker-service"
    said = capsys.readouterr().err
    assert "the bounds 1..4 come back at 2026-11-22 07:00:00 UTC" in said
    assert "bounds stay" not in said


def test_a_second_temporary_scale_comes_back_to_what_was_before_the_first(world: World) -> None:
    run(world.aws, WORKER, Wanted(count=6, duration=timedelta(hours=2)), world.clock)
    run(world.aws, WORKER, Wanted(count=5, duration=timedelta(hours=9)), world.clock)
    (action,) = world.reverts()
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 4}
    assert action["Schedule"].startswith("at(2026-11-22T14:00:")
    assert world.bounds(WORKER) == Bounds(5, 5)


def test_a_lasting_scale_ends_a_temporary_one(world: World) -> None:
    run(world.aws, WORKER, Wanted(count=6, duration=timedelta(hours=2)), world.clock)
    run(world.aws, WORKER, Wanted(count=5), world.clock)
    assert world.reverts() == []
    assert world.bounds(WORKER) == Bounds(5, 5)


def test_protected_ecs_tasks_are_not_scaled_away(world: World) -> None:
    protected(world, WORKER, 2)
    with pytest.raises(RefusedError, match="2 ECS tasks of the worker are protected"):
        run(world.aws, WORKER, Wanted(count=1), world.clock)
    assert world.service(WORKER).desired_count == 3
    assert world.bounds(WORKER) == Bounds(1, 4)
    run(world.aws, WORKER, Wanted(count=2), world.clock)
    assert len(world.tasks(WORKER)) == 2


def test_protected_ecs_tasks_are_found_among_250(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(counts=(1, 250), bounds=(Bounds(1, 4), Bounds(1, 300))) as world:
        assert len(world.tasks(WORKER)) == 250
        for task in world.tasks(WORKER)[-120:]:
            task.protection_enabled = True
            task.protection_expires = NOW.replace(year=2099)
        with pytest.raises(RefusedError, match="120 ECS tasks of the worker are protected"):
            run(world.aws, WORKER, Wanted(count=119), world.clock)


@pytest.mark.parametrize(
    ("service", "operation", "count", "bounds"),
    [
        ("application-autoscaling", "put_scheduled_action", 3, Bounds(1, 4)),
        ("application-autoscaling", "register_scalable_target", 3, Bounds(1, 4)),
        ("ecs", "update_service", 3, Bounds(5, 5)),
    ],
)
def test_ctrl_c_leaves_a_valid_service_and_says_what_stands(
    world: World,
    capsys: pytest.CaptureFixture[str],
    *,
    service: str,
    operation: str,
    count: int,
    bounds: Bounds,
) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    before(world.aws, service, operation, interrupt)
    wanted = Wanted(count=5, duration=timedelta(hours=1))
    with pytest.raises(KeyboardInterrupt):
        run(world.aws, WORKER, wanted, world.clock)
    assert (world.service(WORKER).desired_count, world.bounds(WORKER)) == (count, bounds)
    said = capsys.readouterr().err
    assert "Interrupted. Done so far: " in said
    assert ("bounds are 5..5" in said) == (bounds == Bounds(5, 5))
    # whatever has happened, the same command again finishes it
    again = Aws(world.aws.target)
    run(again, WORKER, wanted, world.clock)
    assert (world.service(WORKER).desired_count, world.bounds(WORKER)) == (5, Bounds(5, 5))
    (action,) = world.reverts()
    assert action["ScalableTargetAction"] == {"MinCapacity": 1, "MaxCapacity": 4}


def test_ctrl_c_while_it_waits_says_that_the_scale_stands(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    world.interrupt_after = 2
    with pytest.raises(KeyboardInterrupt):
        run(world.aws, WORKER, Wanted(count=5), world.clock)
    assert "Interrupted. Done so far: bounds are 5..5, they were 1..4; the count is to be 5" in (
        capsys.readouterr().err
    )


def test_what_does_not_come_about_is_overdue_with_what_is_missing(world: World) -> None:
    world.broken = {world.service(WORKER).task_definition}
    world.pace = 30
    with pytest.raises(OverdueError, match="worker 3 of 4 running"):
        run(world.aws, WORKER, Wanted(count=4), world.clock)


def test_a_refusal_of_aws_half_way_says_what_stands(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(world.aws, "ecs", "update_service", "AccessDeniedException")
    with pytest.raises(DeniedError):
        run(world.aws, WORKER, Wanted(count=5), world.clock)
    assert "Not finished. Done so far: bounds are 5..5" in capsys.readouterr().err


def test_a_stage_that_is_not_there_is_said_to_be_so(world: World) -> None:
    elsewhere = Aws(Target(read_stage("local"), region=REGION))
    with pytest.raises(NotDeployedError, match="stage local is not deployed"):
        run(elsewhere, WORKER, Wanted(count=5), world.clock)


def test_production_is_not_scaled_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed("prod") as world:
        with pytest.raises(RefusedError, match=r"scale the worker from 3, bounds 1\.\.4 to 4"):
            run(world.aws, WORKER, Wanted(count=4), world.clock)
        assert world.bounds(WORKER) == Bounds(1, 4)
        run(world.aws, WORKER, Wanted(count=4), world.clock, yes=True)
        assert world.bounds(WORKER) == Bounds(4, 4)


def test_a_desired_count_in_the_configuration_is_named(
    capsys: pytest.CaptureFixture[str], world: World
) -> None:
    stage = replace(world.stage, worker_desired_count=1)
    aws = Aws(Target(stage, region=REGION))
    run(aws, WORKER, Wanted(count=4), world.clock)
    said = capsys.readouterr().err
    assert "sets the count back to 1 (worker_desired_count in stages.toml)" in said
    assert "worker_max_count = 4, worker_desired_count = 4" in said


def test_more_workers_than_the_database_has_connections_for_are_warned_of() -> None:
    dev = read_stage("dev")
    assert connections_warning(dev, WORKER, Plan(4, Bounds(4, 4))) is None
    found = connections_warning(dev, WORKER, Plan(40, Bounds(40, 40)))
    assert found
    assert "database_max_acu" in found


def test_a_revert_whose_time_is_over_does_not_count(world: World) -> None:
    run(world.aws, WORKER, Wanted(count=6, duration=timedelta(minutes=5)), world.clock)
    world.now += timedelta(minutes=10)
    run(world.aws, WORKER, Wanted(count=5, duration=timedelta(hours=1)), world.clock)
    (action,) = world.reverts()
    assert action["ScalableTargetAction"] == {"MinCapacity": 6, "MaxCapacity": 6}
