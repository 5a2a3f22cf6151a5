"""`moor sleep` and `moor wake`: what was comes back, however often either is interrupted."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from scripts.aws import Aws
from scripts.commands import scale
from scripts.commands.scale import Wanted
from scripts.commands.sleep import (
    Steps,
    database_pause,
    run_sleep,
    run_wake,
    steps_to_sleep,
    steps_to_wake,
)
from scripts.ecs.autoscaling import Autoscaling, Bounds, Revert
from scripts.ecs.services import Service
from scripts.ecs.sleep_state import NOTHING, TAG, Memory, is_asleep, recall, to_remember
from scripts.errors import NotFoundError, OverdueError, RefusedError
from service.contract import ProcessName
from stacks.config.read_stage import read_stage
from tests.scripts.values import AT, SERVICE
from tests.scripts.world import (
    ALARMS,
    REGION,
    World,
    alarms_that_tell,
    before,
    deployed,
    protected,
)

API, WORKER = ProcessName.API, ProcessName.WORKER
AWAKE = Autoscaling(Bounds(1, 4))
ASLEEP = Autoscaling(NOTHING)
MEMORY = Memory(2, Bounds(1, 4))
TAGGED = replace(SERVICE, tags={TAG: str(MEMORY)})


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


@pytest.mark.parametrize("memory", [MEMORY, Memory(0, Bounds(0, 10)), Memory(3, None)])
def test_a_tag_holds_what_is_remembered(memory: Memory) -> None:
    assert recall(replace(SERVICE, tags={TAG: str(memory)})) == memory


@pytest.mark.parametrize("tag", ["", "count=x", "count=2 min=1"])
def test_a_tag_of_other_making_is_no_memory(tag: str) -> None:
    assert recall(replace(SERVICE, tags={TAG: tag})) is None


def test_the_steps_to_sleep_begin_with_the_memory() -> None:
    assert steps_to_sleep(SERVICE, AWAKE) == Steps(remember=MEMORY, bounds=NOTHING, count=0)


@pytest.mark.parametrize(
    ("service", "scaling", "steps"),
    [
        (TAGGED, AWAKE, Steps(bounds=NOTHING, count=0)),
        (TAGGED, ASLEEP, Steps(count=0)),
        (replace(TAGGED, desired=0), ASLEEP, Steps()),
    ],
    ids=["after the memory", "after the bounds", "after the count"],
)
def test_a_sleep_that_was_interrupted_goes_on_where_it_was(
    service: Service, scaling: Autoscaling, steps: Steps
) -> None:
    assert steps_to_sleep(service, scaling) == steps


@pytest.mark.parametrize(
    ("service", "scaling", "steps"),
    [
        (replace(TAGGED, desired=0), ASLEEP, Steps(bounds=Bounds(1, 4), count=2, forget=True)),
        (replace(TAGGED, desired=0), AWAKE, Steps(count=2, forget=True)),
        (TAGGED, AWAKE, Steps(forget=True)),
        (SERVICE, AWAKE, Steps()),
    ],
    ids=["asleep", "after the bounds", "after the count", "awake"],
)
def test_a_wake_that_was_interrupted_goes_on_where_it_was(
    service: Service, scaling: Autoscaling, steps: Steps
) -> None:
    assert steps_to_wake(service, scaling) == steps


def test_half_a_wake_is_not_what_the_next_sleep_remembers() -> None:
    assert to_remember(replace(TAGGED, desired=0), AWAKE) == MEMORY


def test_a_service_that_was_scaled_since_is_remembered_anew() -> None:
    assert to_remember(replace(TAGGED, desired=3), AWAKE) == Memory(3, Bounds(1, 4))


def test_a_temporary_scale_ends_with_the_sleep() -> None:
    scaled = Autoscaling(Bounds(6, 6), Revert(AT, Bounds(1, 4)))
    steps = steps_to_sleep(replace(SERVICE, desired=6), scaled)
    assert steps == Steps(
        remember=Memory(4, Bounds(1, 4)), drop_revert=True, bounds=NOTHING, count=0
    )


def test_without_an_autoscaler_the_count_alone_is_remembered() -> None:
    assert steps_to_sleep(SERVICE, None) == Steps(remember=Memory(2, None), count=0)
    tagged = replace(SERVICE, desired=0, tags={TAG: "count=2"})
    assert is_asleep(tagged, None)
    assert steps_to_wake(tagged, None) == Steps(count=2, forget=True)


def test_wake_brings_back_what_sleep_took(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    run_sleep(world.aws, world.clock)
    for process in (API, WORKER):
        assert world.tasks(process) == []
        assert world.service(process).desired_count == 0
        assert world.bounds(process) == NOTHING
    said = capsys.readouterr().err
    assert "stage dev sleeps.\nThe database stays at 0.5 ACU" in said
    assert "`moor wake --stage dev` wakes it" in said
    run_sleep(world.aws, world.clock)  # again: nothing is forgotten
    run_wake(world.aws, world.clock)
    assert [len(world.tasks(process)) for process in (API, WORKER)] == [2, 3]
    assert world.bounds(API) == world.bounds(WORKER) == Bounds(1, 4)
    assert all(tag["key"] != TAG for tag in world.service(WORKER).tags)
    run_wake(world.aws, world.clock)
    assert capsys.readouterr().err.endswith("stage dev is awake.\n")


@pytest.mark.parametrize("operation", ["tag_resource", "update_service"])
def test_ctrl_c_on_the_way_to_sleep_loses_nothing(world: World, operation: str) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    before(world.aws, "ecs", operation, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_sleep(world.aws, world.clock)
    again = Aws(world.aws.target)
    run_sleep(again, world.clock)
    run_wake(again, world.clock)
    assert [len(world.tasks(process)) for process in (API, WORKER)] == [2, 3]
    assert world.bounds(API) == world.bounds(WORKER) == Bounds(1, 4)


def test_a_stage_is_awake_when_its_load_balancer_has_a_healthy_target(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    vpc = boto3.client("ec2").describe_vpcs()["Vpcs"][0]["VpcId"]
    balancer = boto3.client("elbv2")
    made = balancer.create_target_group(
        Name="api", Protocol="HTTP", Port=8000, VpcId=vpc, TargetType="ip"
    )
    group = made["TargetGroups"][0]["TargetGroupArn"]
    world.service(API).load_balancers = [{"targetGroupArn": group}]
    run_sleep(world.aws, world.clock)
    world.pace = 30
    with pytest.raises(OverdueError, match="the api gets no requests: no healthy target"):
        run_wake(Aws(world.aws.target), world.clock)
    world.pace = 1
    assert not alarms_that_tell() & set(ALARMS)
    capsys.readouterr()

    def sleep(seconds: float) -> None:
        world.clock.sleep(seconds)
        balancer.register_targets(TargetGroupArn=group, Targets=[{"Id": "10.0.0.1"}])

    run_wake(Aws(world.aws.target), replace(world.clock, sleep=sleep))
    assert capsys.readouterr().err.splitlines() == [
        "  api: no healthy target: none is registered",
        "  5 alarms are on again",
        "stage dev is awake.",
    ]


def test_sleep_keeps_a_temporary_scale_from_waking_the_worker(world: World) -> None:
    scale.run(world.aws, WORKER, Wanted(count=6, duration=timedelta(hours=2)), world.clock)
    run_sleep(world.aws, world.clock)
    assert world.reverts() == []
    run_wake(world.aws, world.clock)
    assert world.bounds(WORKER) == Bounds(1, 4)
    assert world.service(WORKER).desired_count == 4


def test_a_sleeping_stage_is_not_scaled(world: World) -> None:
    run_sleep(world.aws, world.clock)
    with pytest.raises(RefusedError, match="sleeps"):
        scale.run(world.aws, WORKER, Wanted(count=2), world.clock)


def test_protected_ecs_tasks_keep_a_stage_awake(world: World) -> None:
    protected(world, WORKER, 1)
    with pytest.raises(RefusedError, match="1 ECS tasks are protected"):
        run_sleep(world.aws, world.clock)
    assert world.service(API).desired_count == 2


def test_production_does_not_sleep_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed("prod") as world:
        with pytest.raises(RefusedError, match="stop the API and every worker"):
            run_sleep(world.aws, world.clock)
        assert world.service(API).desired_count == 2


def test_nothing_is_woken_that_was_not_put_to_sleep(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(counts=(0, 0)) as world, pytest.raises(NotFoundError, match="not put to sleep"):
        run_wake(world.aws, world.clock)


def test_what_the_database_does_meanwhile_is_said() -> None:
    dev = read_stage("dev")
    assert "0.5 ACU" in database_pause(dev)
    assert "pauses by itself" in database_pause(replace(dev, database_min_acu=0.0))
