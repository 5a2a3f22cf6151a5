"""`moor deployments`, `rollback` and `restart`: both processes, in an order that works."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import boto3
import pytest

from scripts.aws import Aws
from scripts.commands.deployments import marks
from scripts.commands.rollback import order
from scripts.commands.rollback import run as rollback
from scripts.ecs.releases import (
    Deployment,
    Release,
    Revision,
    choose,
    describe,
    find_releases,
    pair,
    read_deployments,
    template_of,
)
from scripts.ecs.rollouts import restart
from scripts.ecs.services import Service, find_services
from scripts.errors import NotFoundError, OperatorError, RefusedError
from scripts.processes import forwards
from service.contract import ProcessName
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.values import AT, SERVICE
from tests.scripts.world import REGION, World, before, deployed, release

API, WORKER = ProcessName.API, ProcessName.WORKER


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


def revision(process: str, number: int, image: str, minutes: float) -> Revision:
    arn = f"arn:aws:ecs:us-east-1:123456789012:task-definition/{DEV_PREFIX}-{process}:{number}"
    return Revision(process, number, arn, f"repo/moorage:{image}", AT + timedelta(minutes=minutes))


API_1, WORKER_1 = revision(API, 1, "a", 0), revision(WORKER, 1, "a", 0.01)
API_2, WORKER_2 = revision(API, 2, "b", 10.01), revision(WORKER, 2, "b", 10)
API_3, WORKER_3 = revision(API, 3, "c", 20.01), revision(WORKER, 3, "c", 20)
ALL = [API_1, WORKER_1, API_2, WORKER_2, API_3, WORKER_3]


def named(releases: list[Release]) -> list[str]:
    return [each.name for each in releases]


def test_revisions_with_the_same_image_are_a_release() -> None:
    found = pair(ALL)
    assert named(found) == ["3", "2", "1"]
    assert found[1].api == API_2
    assert found[1].worker == WORKER_2
    assert found[1].image_tag == "b"


def test_a_change_of_one_process_alone_is_a_release_of_its_own() -> None:
    assert named(pair([*ALL, revision(WORKER, 4, "c", 30)])) == ["3/4", "3", "2", "1"]


def test_what_a_deploy_registers_one_after_the_other_is_one_release() -> None:
    both = [revision(WORKER, 4, "c", 30), revision(API, 4, "c", 30.1)]
    assert named(pair([*ALL, *both])) == ["4", "3", "2", "1"]


def test_quick_deploys_of_other_code_are_not_one_release() -> None:
    quick = [revision(WORKER, 4, "d", 20.1), revision(API, 4, "d", 20.2)]
    assert named(pair([*ALL, *quick])) == ["4", "3", "2", "1"]


POOL = "worker-reports"


def test_a_pool_is_in_the_releases_that_were_made_since_it_is_there() -> None:
    pool = [revision(POOL, 1, "b", 10.02), revision(POOL, 2, "c", 20.02)]
    third, second, first = pair([*ALL, *pool])
    assert named([third, second, first]) == ["3/3/2", "2/2/1", "1"]
    assert third.pools == {POOL: pool[1]}
    assert set(first.revisions) == {API, WORKER}
    assert named(pair([*ALL, *pool, revision(POOL, 3, "c", 30)]))[0] == "3"


def test_a_rollback_moves_the_pools_that_the_release_has() -> None:
    pool = [revision(POOL, 1, "b", 10.02), revision(POOL, 2, "c", 20.02)]
    _, second, first = pair([*ALL, *pool])
    now = {API: API_3, WORKER: WORKER_3, POOL: pool[1]}
    services: dict[str, Service] = {
        process: replace(SERVICE, process=process, task_definition=each.arn)
        for process, each in now.items()
    }
    assert order(services, second, (WORKER, POOL, API)) == [API, POOL, WORKER]
    assert order(services, first, (WORKER, POOL, API)) == [API, WORKER]
    arns = {process: each.arn for process, each in now.items()}
    assert choose(pair([*ALL, *pool]), arns, None) == second


def running(api: Revision, worker: Revision) -> dict[str, str]:
    return {API: api.arn, WORKER: worker.arn}


@pytest.mark.parametrize(
    ("now", "chosen"),
    [
        ((API_3, WORKER_3), "2"),
        ((API_2, WORKER_2), "1"),
        ((API_2, WORKER_3), "2"),  # an interrupted rollback goes on
        ((API_1, WORKER_2), "1"),
    ],
)
def test_the_release_before_is_the_one_to_go_back_to(
    now: tuple[Revision, Revision], chosen: str
) -> None:
    assert choose(pair(ALL), running(*now), None).name == chosen


def test_a_release_that_failed_is_skipped_unless_it_is_named() -> None:
    failed = [Deployment(WORKER_2.arn, "ROLLBACK_SUCCESSFUL", "circuit breaker", AT)]
    releases = describe(pair(ALL), running(API_3, WORKER_3), running(API_3, WORKER_3), failed)
    assert releases[1].has_failed
    assert choose(releases, running(API_3, WORKER_3), None).name == "1"
    assert choose(releases, running(API_3, WORKER_3), "2").name == "2"


def test_there_is_nothing_before_the_first() -> None:
    with pytest.raises(RefusedError, match="no earlier release"):
        choose(pair(ALL), running(API_1, WORKER_1), None)


def test_a_release_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError) as found:
        choose(pair(ALL), running(API_3, WORKER_3), "7")
    assert "3, 2, 1" in found.value.hint


def test_the_newest_deployment_of_a_revision_is_its_state() -> None:
    known = [
        Deployment(API_2.arn, "SUCCESSFUL", "", AT),
        Deployment(WORKER_2.arn, "SUCCESSFUL", "", AT),
        Deployment(API_2.arn, "ROLLBACK_SUCCESSFUL", "", AT),
    ]
    now = running(API_2, WORKER_2)
    _, second, first = describe(pair(ALL), now, running(API_3, WORKER_3), known)
    assert (second.state, second.is_running, second.is_template) == ("SUCCESSFUL", True, False)
    assert first.state == ""


def test_deployments_are_read_with_their_task_definitions() -> None:
    listed: list[dict[str, object]] = [
        {"targetServiceRevisionArn": "r2", "status": "SUCCESSFUL", "finishedAt": AT},
        {"targetServiceRevisionArn": "gone", "status": "SUCCESSFUL"},
        {"targetServiceRevisionArn": "r1", "status": "STOPPED", "statusReason": "Why."},
    ]
    revisions = [
        {"serviceRevisionArn": "r1", "taskDefinition": "d:1"},
        {"serviceRevisionArn": "r2", "taskDefinition": "d:2"},
    ]
    assert read_deployments(listed, revisions) == [
        Deployment("d:2", "SUCCESSFUL", "", AT),
        Deployment("d:1", "STOPPED", "Why.", None),
    ]


def releases_of(world: World) -> list[Release]:
    aws = Aws(world.aws.target)
    return find_releases(aws, find_services(aws), template_of(aws))


def test_deployments_shows_what_runs_and_what_failed(world: World) -> None:
    release(world, "two")
    world.broken = {f"{world.service(API).task_definition[:-1]}3"}
    release(world, "three")
    third, second, first = releases_of(world)
    assert [each.name for each in (third, second, first)] == ["3", "2", "1"]
    assert third.state == "ROLLBACK_SUCCESSFUL"
    assert marks(third).startswith("in the stack's template, ECS deployment circuit breaker")
    assert (second.image_tag, second.state) == ("two", "SUCCESSFUL")
    assert (first.image_tag, first.state, marks(first)) == ("one", "SUCCESSFUL", " ")


def test_rollback_moves_both_back_the_api_first(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    release(world, "two")
    rollback(world.aws, None, world.clock)
    world.settle()
    assert [world.service(p).task_definition[-2:] for p in (API, WORKER)] == [":1", ":1"]
    assert {task.task_definition_arn[-2:] for task in world.tasks(WORKER)} == {":1"}
    said = capsys.readouterr().err
    assert said.index("the api goes to revision 1") < said.index("the worker goes to revision 1")
    assert "still says api 2 and worker 2" in said
    # and forward again: the worker first
    rollback(world.aws, "2", world.clock)
    said = capsys.readouterr().err
    assert said.index("the worker goes to revision 2") < said.index("the api goes to revision 2")
    assert "as the stack's template says" in said


def test_a_rollback_that_was_interrupted_is_finished_by_the_next(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    release(world, "two")
    release(world, "three")
    world.interrupt_after = 1
    with pytest.raises(KeyboardInterrupt):
        rollback(world.aws, None, world.clock)
    assert [world.service(p).task_definition[-2:] for p in (API, WORKER)] == [":2", ":3"]
    assert (
        "Done so far: the api goes to revision 2. `moor rollback 2 --stage dev` does the rest."
        in capsys.readouterr().err
    )
    world.interrupt_after = None
    rollback(Aws(world.aws.target), None, world.clock)
    assert [world.service(p).task_definition[-2:] for p in (API, WORKER)] == [":2", ":2"]


def test_a_rollback_to_what_does_not_start_fails_and_leaves_the_other_alone(world: World) -> None:
    release(world, "two")
    world.broken = {f"{world.service(API).task_definition[:-1]}1"}
    with pytest.raises(OperatorError, match="deployment of the api was not completed"):
        rollback(world.aws, None, world.clock)
    world.settle()
    assert [world.service(p).task_definition[-2:] for p in (API, WORKER)] == [":2", ":2"]


def test_the_first_release_has_nothing_before_it(world: World) -> None:
    with pytest.raises(RefusedError):
        rollback(world.aws, None, world.clock)


def test_a_rollback_to_what_runs_changes_nothing(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    rollback(world.aws, "1", world.clock)
    assert "runs release 1 already" in capsys.readouterr().err
    assert len(world.service(API).history) == 1


def test_production_does_not_roll_back_unasked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed("prod") as world:
        release(world, "two")
        with pytest.raises(RefusedError, match="run release 1"):
            rollback(world.aws, None, world.clock)
        assert world.service(API).task_definition.endswith(":2")


def test_restart_replaces_every_ecs_task_the_worker_first(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    old = {task.id for process in (API, WORKER) for task in world.tasks(process)}
    restart(world.aws, forwards(world.aws), world.clock)
    world.settle()
    new = {task.id for process in (API, WORKER) for task in world.tasks(process)}
    assert len(new) == 5
    assert not old & new
    said = capsys.readouterr().err
    assert said.index("restarting the worker") < said.index("restarting the api")
    assert "new ECS tasks running" in said


def test_restart_of_one_leaves_the_other(world: World) -> None:
    old = {task.id for task in world.tasks(API)}
    restart(world.aws, [WORKER], world.clock)
    assert {task.id for task in world.tasks(API)} == old


def test_nothing_is_restarted_where_nothing_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(counts=(1, 0)) as world:
        restart(world.aws, forwards(world.aws), world.clock)
        assert len(world.service(WORKER).history) == 1
        assert len(world.service(API).history) == 2


def test_a_restart_that_another_deployment_replaces_says_so(world: World) -> None:
    def replaced() -> None:
        world.now += timedelta(seconds=1)
        boto3.client("ecs").update_service(
            cluster=world.stage.names.cluster,
            service=world.stage.names.service(WORKER),
            forceNewDeployment=True,
        )

    waiting = [replaced]
    before(world.aws, "ecs", "list_tasks", lambda: waiting.pop()() if waiting else None)
    with pytest.raises(OperatorError, match="was not completed"):
        restart(world.aws, [WORKER], world.clock)


def test_the_running_revision_is_told_apart_from_the_templates() -> None:
    (found, *_) = describe(pair(ALL), running(API_3, WORKER_3), running(API_3, WORKER_3), [])
    assert marks(found) == "runs, in the stack's template"
    assert marks(replace(found, is_running=False, is_template=False)) == " "
