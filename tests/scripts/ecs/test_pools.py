"""The commands know the worker pools of a deployed stage, whatever they are called."""

from collections.abc import Iterator

import pytest

from scripts.aws import Aws
from scripts.commands import scale
from scripts.commands.rollback import run as rollback
from scripts.commands.scale import Wanted
from scripts.commands.sleep import run_sleep, run_wake
from scripts.commands.status import find_health
from scripts.ecs.autoscaling import Bounds
from scripts.ecs.releases import find_releases, template_of
from scripts.ecs.rollouts import restart
from scripts.ecs.services import find_services
from scripts.errors import UsageError
from scripts.logs.log_reading import groups
from scripts.processes import deployed as processes
from scripts.processes import find_process
from scripts.status.screen import draw
from scripts.terminal.answer import print_screen
from service.contract import ProcessName
from stacks.config.stages_file import stage_names
from tests.scripts.world import REGION, World, alarms_that_tell, deployed, release

STAGE, POOL, OTHER = "qa-eu-2", "worker-reports", "worker-gpu-x"
KEYS: dict[str, object] = {
    "stage": "dev",
    "called": STAGE,
    "workers.reports.queues": "reports",
    "workers.reports.max_count": "4",
    "workers.gpu-x.queues": "video",
    "workers.gpu-x.max_count": "4",
    "database_max_acu": 8,
    "database_min_acu": 1,
}


@pytest.fixture(scope="module")
def stood() -> Iterator[World]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        with deployed(**KEYS) as found:  # type: ignore[arg-type]
            yield found


@pytest.fixture
def world(stood: World) -> World:
    """Each test leaves it as it was, and has as many sleeps as it needs."""
    stood.aws = Aws(stood.aws.target)
    stood.slept = 0
    return stood


def test_the_processes_are_those_that_the_stacks_name(world: World) -> None:
    assert processes(world.aws) == ("api", "worker", OTHER, POOL)
    assert set(find_services(world.aws)) == {"api", "worker", POOL, OTHER}
    assert STAGE not in stage_names()
    assert find_services(world.aws)[OTHER].name == "moorage-qa-eu-2-worker-gpu-x-service"


@pytest.mark.parametrize(
    ("typed", "hint"),
    [("worker-report", f"Did you mean {POOL}?"), ("worker-gpu", f"Did you mean {OTHER}?")],
)
def test_a_wrong_name_is_refused_with_the_nearest(typed: str, hint: str, world: World) -> None:
    with pytest.raises(
        UsageError, match=f"has no {typed}; it has api, worker, {OTHER}, {POOL}"
    ) as refused:
        find_process(world.aws, typed)
    assert refused.value.hint == hint


def test_a_pool_is_scaled_alone(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    scale.run(world.aws, POOL, Wanted(count=0), world.clock)
    assert (len(world.tasks(POOL)), len(world.tasks(ProcessName.WORKER))) == (0, 3)
    assert [*map(world.bounds, (POOL, "worker", OTHER))] == [Bounds(0, 0), *[Bounds(1, 4)] * 2]
    assert "WorkerTasksMissing" in alarms_that_tell()
    assert f"WorkerTasksMissing{POOL}" not in alarms_that_tell()
    said = capsys.readouterr().err
    assert f"`moor scale {POOL} --min 1 --max 4 --stage {STAGE}`" in said
    scale.run(world.aws, POOL, Wanted(count=3, minimum=1, maximum=4), world.clock)
    assert f"WorkerTasksMissing{POOL}" in alarms_that_tell()


def test_all_pools_sleep_and_wake(world: World) -> None:
    run_sleep(world.aws, world.clock)
    assert [len(world.tasks(each)) for each in processes(world.aws)] == [0, 0, 0, 0]
    run_wake(world.aws, world.clock)
    assert [len(world.tasks(each)) for each in processes(world.aws)] == [2, 3, 3, 3]
    assert world.bounds(POOL) == Bounds(1, 4)


def test_a_pool_is_a_row_of_the_screen_and_of_the_restart(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    health = find_health(world.aws, world.clock)
    assert [each.process for each in health.services] == ["api", "worker", OTHER, POOL]
    assert health.services[3].configured_bounds == Bounds(1, 4)
    assert health.pools == {POOL: None, OTHER: None}
    print_screen(draw(health))
    rows = [line.split()[0] for line in capsys.readouterr().out.splitlines() if line]
    assert set(rows) >= set(processes(world.aws))
    restart(world.aws, [POOL], world.clock)
    assert f"restarting the {POOL}" in capsys.readouterr().err


def test_a_pool_moves_with_the_releases(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    release(world, "two")
    world.aws = Aws(world.aws.target)
    found = find_releases(world.aws, find_services(world.aws), template_of(world.aws))
    assert [(each.name, each.is_running) for each in found] == [("2", True), ("1", False)]
    rollback(world.aws, None, world.clock)
    services = find_services(world.aws).values()
    assert {each.task_definition.rpartition(":")[2] for each in services} == {"1"}
    said = capsys.readouterr().err
    assert said.index("  api: ") < said.index(f"  {POOL}: ") < said.index("  worker: ")


def test_a_pool_has_its_own_log(world: World) -> None:
    names = world.stage.names
    (own,) = groups(world.aws, (POOL,))
    assert (own.name, own.processes) == (names.log_group(POOL), (POOL,))
    assert len(groups(world.aws, ("migrate",))) == 4
