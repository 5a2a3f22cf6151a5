"""Alarms are off while a stage sleeps or is scaled to zero, and on again when it runs."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest

from scripts.aws import Aws
from scripts.commands import scale
from scripts.commands.scale import Wanted
from scripts.commands.sleep import run_sleep, run_wake
from scripts.commands.status import find_health
from scripts.ecs.alarms import sections_at_rest
from scripts.target import Target
from service.contract import ProcessName
from stacks.config.read_stage import read_stage
from tests.scripts.world import (
    ALARMS,
    REGION,
    TOPIC,
    World,
    alarms_that_tell,
    before,
    deployed,
    put_alarm,
    refuse,
)

API, WORKER = ProcessName.API, ProcessName.WORKER
OTHERS = {"Scaling", "OfAnotherApp"}  # which no command touches
EVERY = {*ALARMS, *OTHERS}


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


def anew(world: World) -> Aws:
    """As the next command sees it."""
    return Aws(world.aws.target)


def warnings(world: World) -> list[str]:
    """What `moor status` says of alarms."""
    return [line for line in find_health(world.aws, world.clock).warnings if "alarms" in line]


def interrupt() -> None:
    raise KeyboardInterrupt


def test_alarms_sleep_and_wake_with_their_stage(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    run_sleep(world.aws, world.clock)
    assert alarms_that_tell() == OTHERS
    assert "5 alarms are off" in capsys.readouterr().err
    run_sleep(world.aws, world.clock)
    assert alarms_that_tell() == OTHERS
    run_wake(world.aws, world.clock)
    assert alarms_that_tell() == EVERY
    assert "5 alarms are on again\nstage dev is awake." in capsys.readouterr().err


def test_alarms_are_off_before_anything_stops_and_on_when_everything_runs(world: World) -> None:
    seen: list[tuple[str, int]] = []
    for operation in ("disable_alarm_actions", "enable_alarm_actions"):

        def note(operation: str = operation) -> None:
            running = sum(len(world.tasks(process)) for process in (API, WORKER))
            seen.append((operation, running))

        before(world.aws, "cloudwatch", operation, note)
    run_sleep(world.aws, world.clock)
    run_wake(world.aws, world.clock)
    assert seen == [("disable_alarm_actions", 5), ("enable_alarm_actions", 5)]


def test_a_stage_of_many_alarms_is_switched_a_hundred_at_a_time(world: World) -> None:
    for n in range(100):
        put_alarm(f"Own{n}", TOPIC)
    sizes: list[int] = []
    for operation in ("DisableAlarmActions", "EnableAlarmActions"):
        world.aws._client("cloudwatch").meta.events.register(
            f"provide-client-params.cloudwatch.{operation}",
            lambda params, **_: sizes.append(len(params["AlarmNames"])),
        )
    run_sleep(world.aws, world.clock)
    assert alarms_that_tell() == OTHERS
    run_wake(world.aws, world.clock)
    assert len(alarms_that_tell()) == 100 + len(EVERY)
    assert sizes == [100, 5] * 2


@pytest.mark.parametrize(
    ("service", "operation"),
    [("cloudwatch", "disable_alarm_actions"), ("ecs", "tag_resource"), ("ecs", "update_service")],
)
def test_a_sleep_that_was_interrupted_is_finished_or_undone(
    world: World, service: str, operation: str
) -> None:
    before(world.aws, service, operation, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_sleep(world.aws, world.clock)
    run_wake(anew(world), world.clock)
    assert alarms_that_tell() == EVERY
    run_sleep(anew(world), world.clock)
    assert alarms_that_tell() == OTHERS


@pytest.mark.parametrize(
    ("service", "operation"),
    [("ecs", "untag_resource"), ("ecs", "list_tasks"), ("cloudwatch", "enable_alarm_actions")],
)
def test_a_wake_that_was_interrupted_is_finished_by_the_next(
    world: World, service: str, operation: str
) -> None:
    run_sleep(world.aws, world.clock)
    aws = anew(world)
    before(aws, service, operation, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_wake(aws, world.clock)
    assert alarms_that_tell() == OTHERS
    run_wake(anew(world), world.clock)
    assert alarms_that_tell() == EVERY


def test_wake_mends_a_stage_that_is_awake_and_silent(world: World) -> None:
    boto3.client("cloudwatch").disable_alarm_actions(AlarmNames=list(ALARMS))
    assert warnings(world) == [
        "5 of 5 alarms are off and notify nobody; `moor wake --stage dev` switches them on"
    ]
    run_wake(world.aws, world.clock)
    assert alarms_that_tell() == EVERY
    assert warnings(world) == []


def test_a_deploy_while_it_sleeps_is_told_and_undone_by_sleep(world: World) -> None:
    run_sleep(world.aws, world.clock)
    assert warnings(world) == []
    put_alarm("ApiErrors", TOPIC)
    assert warnings(world) == [
        "1 of 5 alarms are on although the stage sleeps: a deploy does that; "
        "`moor sleep --stage dev` switches them off"
    ]
    run_sleep(world.aws, world.clock)
    assert alarms_that_tell() == OTHERS


def test_what_is_scaled_to_zero_is_not_missed(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    scale.run(world.aws, WORKER, Wanted(count=0), world.clock)
    assert EVERY - alarms_that_tell() == {"WorkerTasksMissing"}
    assert "alarms are off: worker-tasks-missing" in capsys.readouterr().err
    assert warnings(world) == []
    run_wake(world.aws, world.clock)
    assert EVERY - alarms_that_tell() == {"WorkerTasksMissing"}, "it would ring"
    scale.run(world.aws, API, Wanted(count=0), world.clock)
    assert alarms_that_tell() == {"ApiErrors", *OTHERS}
    scale.run(world.aws, WORKER, Wanted(minimum=1, maximum=4), world.clock)
    assert EVERY - alarms_that_tell() == {"ApiTasksMissing", "NoTarget"}
    scale.run(world.aws, API, Wanted(count=2), world.clock)
    assert alarms_that_tell() == EVERY


def test_a_scale_for_some_hours_says_that_its_alarm_stays_off(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    scale.run(world.aws, WORKER, Wanted(count=0, duration=timedelta(hours=2)), world.clock)
    assert "The alarms stay off when the bounds come back: `moor wake --stage dev` switches" in (
        capsys.readouterr().err
    )
    assert EVERY - alarms_that_tell() == {"WorkerTasksMissing"}


@pytest.mark.parametrize(
    ("least", "given", "expected"),
    [
        ((1, 1), {}, set()),
        ((0, 1), {}, {"api-tasks-missing", "no-target"}),
        ((1, 0), {}, {"worker-tasks-missing"}),
        ((0, 0), {}, {"api-tasks-missing", "no-target", "worker-tasks-missing", "no-metrics"}),
        ((1, 0), {"worker_min_count": 0}, set()),
        ((0, 0), {"worker_min_count": 0}, {"api-tasks-missing", "no-target", "no-metrics"}),
        ((0, 0), {"worker_min_count": 0, "api_min_count": 0}, set()),
    ],
)
def test_alarms_that_know_of_zero_stay_on(
    least: tuple[int, int], given: dict[str, Any], expected: set[str]
) -> None:
    stage = replace(read_stage("dev"), **given)
    assert sections_at_rest(stage, dict(zip((API, WORKER), least, strict=True))) == expected


def test_status_goes_on_where_alarms_may_not_be_read(world: World) -> None:
    refuse(world.aws, "cloudwatch", "describe_alarms", "AccessDeniedException", "Not you.")
    found = find_health(world.aws, world.clock)
    assert found.alarms == ()
    assert any("the state of the alarms is unknown" in line for line in found.warnings)


def test_a_stage_deployed_before_it_had_a_topic_sleeps_too(world: World) -> None:
    other = Aws(Target(world.stage, region=REGION))
    other.__dict__["outputs"] = {}
    run_sleep(other, world.clock)
    assert alarms_that_tell() == EVERY
