"""`moor status` shows what an operator asks, and what he would not think of asking."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from scripts.aws import Aws
from scripts.commands import scale
from scripts.commands.scale import Wanted
from scripts.commands.sleep import run_sleep
from scripts.commands.status import WATCH_SECONDS, find_health, follow
from scripts.ecs.alarms import Alarm
from scripts.ecs.autoscaling import Autoscaling, Bounds, Revert
from scripts.ecs.services import Event
from scripts.ecs.sleep_state import NOTHING, TAG
from scripts.ecs.targets import TargetHealth, read_targets
from scripts.ecs.tasks import Container
from scripts.errors import DeniedError, NotDeployedError
from scripts.status.health import (
    Health,
    QueueHealth,
    judge_service,
    last_stopped,
    read_metrics,
    warn,
)
from scripts.status.screen import draw
from scripts.target import Target
from scripts.terminal.answer import print_json, print_screen
from service.contract import METRIC_NAMESPACE, Metric, MetricDimension, ProcessName
from stacks.config.read_stage import read_stage
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.values import AT, DEFINITION, SERVICE, TASK
from tests.scripts.world import NOW, REGION, World, before, deployed, refuse, release

API, WORKER = ProcessName.API, ProcessName.WORKER
DEV = Target(read_stage("dev"))
SCALING = Autoscaling(Bounds(1, 4))


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


def warnings(service: Any = SERVICE, scaling: Any = SCALING, template: int = 4) -> list[str]:
    return warn(DEV, [judge_service(DEV, service, scaling, [], f"{DEFINITION}:{template}")])


def test_a_stage_that_is_as_configured_gives_no_warning() -> None:
    assert warnings() == []


def test_a_revision_that_is_not_the_templates_is_told() -> None:
    (found,) = warnings(template=5)
    assert found.startswith("worker runs revision 4, the stack's template says 5: ")
    assert "`moor deployments --stage dev`" in found


def test_bounds_that_are_not_the_configurations_are_told() -> None:
    (found,) = warnings(scaling=Autoscaling(Bounds(2, 9), Revert(AT, Bounds(1, 4))))
    assert found.startswith(
        "worker has the bounds 2..9 until 2026-11-22 05:00 UTC, stages.toml says 1..4"
    )


def test_sleep_is_told_and_not_taken_for_other_bounds() -> None:
    asleep = replace(SERVICE, desired=0, tags={TAG: "count=2 min=1 max=4"})
    assert warnings(asleep, Autoscaling(NOTHING)) == [
        "worker sleeps; `moor wake --stage dev` wakes it"
    ]


def test_a_count_outside_its_bounds_is_told() -> None:
    (found,) = warnings(replace(SERVICE, desired=7))
    assert found == "worker: its count is 7, outside its bounds 1..4"


def test_a_deployment_that_failed_is_told_with_its_reason() -> None:
    failed = replace(SERVICE.rollouts[0], state="FAILED", reason="circuit breaker")
    assert warnings(replace(SERVICE, rollouts=(failed,))) == [
        "worker: the deployment failed: circuit breaker"
    ]


def test_ecs_tasks_of_earlier_deployments_are_leaving() -> None:
    old = replace(SERVICE.rollouts[0], id="ecs-svc/0", is_primary=False, running=3)
    both = replace(SERVICE, rollouts=(*SERVICE.rollouts, old))
    assert judge_service(DEV, both, SCALING, [], None).leaving == 3


def test_the_five_that_stopped_last_say_why() -> None:
    ended = [
        replace(
            TASK,
            id=str(n),
            status="STOPPED",
            stopped=AT + timedelta(minutes=n),
            stop_code="EssentialContainerExited",
            stop_reason="Essential container in task exited",
            containers=(
                Container("worker", "STOPPED", 137, "OutOfMemoryError: Container killed"),
                Container("migrate", "STOPPED", 0, ""),
                Container("never", "STOPPED", None, ""),
            ),
        )
        for n in range(7)
    ]
    found = last_stopped([*ended, TASK])
    assert [each.id for each in found] == ["6", "5", "4", "3", "2"]
    assert found[0].reason == (
        "Essential container in task exited; OutOfMemoryError: Container killed"
    )
    assert found[0].exit_codes == {"worker": 137, "migrate": 0}
    assert found[0].of == f"{DEV_PREFIX}-worker-service"


def values(**given: float) -> dict[str, Any]:
    return {
        "MetricDataResults": [
            {"Id": name, "Values": [value, 99.0], "Timestamps": [AT, AT - timedelta(minutes=1)]}
            for name, value in given.items()
        ]
        + [{"Id": "empty", "Values": [], "Timestamps": []}]
    }


def test_the_newest_figures_are_the_queues_state() -> None:
    found = values(backlog=12, oldestJobAgeSeconds=3.5, workersAlive=2, acu=0.5)
    assert read_metrics(found, ["worker"]) == ({"worker": QueueHealth(12, 3.5, 2, AT)}, 0.5)


def test_the_figures_of_each_pool_are_its_own() -> None:
    found = values(
        backlog=12, oldestJobAgeSeconds=3.5, workersAlive=2, backlog_worker_big_mail=1,
        oldestJobAgeSeconds_worker_big_mail=0.5, workersAlive_worker_big_mail=0,
    )  # fmt: skip
    queues, _ = read_metrics(found, ["worker", "worker-big-mail", "worker-new"])
    assert queues == {
        "worker": QueueHealth(12, 3.5, 2, AT),
        "worker-big-mail": QueueHealth(1, 0.5, 0, AT),
        "worker-new": None,
    }


@pytest.mark.parametrize("given", [{}, {"backlog": 1.0}, {"workersAlive": 0.0}])
def test_without_all_figures_the_queue_is_unknown(given: dict[str, float]) -> None:
    assert read_metrics(values(**given), ["worker"]) == ({"worker": None}, None)


def test_targets_are_read_with_their_reasons() -> None:
    answer = {
        "TargetHealthDescriptions": [
            {"Target": {"Id": "10.0.0.1", "Port": 8000}, "TargetHealth": {"State": "healthy"}},
            {
                "Target": {"Id": "10.0.0.2", "Port": 8000},
                "TargetHealth": {"State": "unhealthy", "Description": "Timed out"},
            },
        ]
    }
    assert read_targets([answer]) == [
        TargetHealth("10.0.0.1:8000", "healthy", ""),
        TargetHealth("10.0.0.2:8000", "unhealthy", "Timed out"),
    ]


def put_metrics(world: World, **given: float) -> None:
    boto3.client("cloudwatch").put_metric_data(
        Namespace=METRIC_NAMESPACE,
        MetricData=[
            {
                "MetricName": Metric[name],
                "Value": value,
                "Timestamp": world.now - timedelta(seconds=30),
                "Dimensions": [
                    {"Name": MetricDimension.APP, "Value": world.stage.app_name},
                    {"Name": MetricDimension.STAGE, "Value": "dev"},
                    {"Name": MetricDimension.QUEUE, "Value": "default"},
                ],
            }
            for name, value in given.items()
        ],
    )


def test_a_stage_is_read_from_what_aws_answers(world: World) -> None:
    put_metrics(world, BACKLOG=7, OLDEST_JOB_AGE_SECONDS=42, WORKERS_ALIVE=3)
    scale.run(world.aws, WORKER, Wanted(count=2), world.clock)
    found = find_health(world.aws, world.clock)
    api, worker = found.services
    assert (api.process, api.desired, api.running, api.rollout) == (API, 2, 2, "COMPLETED")
    assert (worker.desired, worker.running, worker.bounds) == (2, 2, Bounds(2, 2))
    assert worker.revision == worker.template_revision == 1
    assert found.queue
    assert (found.queue.backlog, found.queue.oldest_job_seconds, found.queue.workers_alive) == (
        7, 42, 3,
    )  # fmt: skip
    assert found.acu is None
    (stopped,) = found.stopped
    assert stopped.stop_code == "ServiceSchedulerInitiated"
    assert stopped.exit_codes == {"worker": 0, "migrate": 0}
    (warning,) = found.warnings
    assert "bounds 2..2, stages.toml says 1..4" in warning


def test_a_deployment_that_was_rolled_back_is_visible(world: World) -> None:
    world.broken = {f"{world.service(WORKER).task_definition[:-1]}2"}
    put_metrics(world, BACKLOG=0, OLDEST_JOB_AGE_SECONDS=0, WORKERS_ALIVE=3)
    release(world, "two")
    found = find_health(world.aws, world.clock)
    (warning,) = found.warnings
    assert "worker runs revision 1, the stack's template says 2" in warning
    assert any(each.exit_codes == {"worker": 1, "migrate": 1} for each in found.stopped)


def test_a_sleeping_stage_says_so(world: World) -> None:
    run_sleep(world.aws, world.clock)
    found = find_health(world.aws, world.clock)
    assert [each.is_asleep for each in found.services] == [True, True]
    assert found.queue is None


def test_the_last_of_250_stopped_ecs_tasks_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(counts=(1, 250), bounds=(Bounds(1, 4), Bounds(1, 300))) as world:
        put_metrics(world, BACKLOG=0, OLDEST_JOB_AGE_SECONDS=0, WORKERS_ALIVE=3)
        world.service(WORKER).desired_count = 0
        world.settle()
        last = world.tasks(WORKER, status="STOPPED")[170]
        last.stopped_at += timedelta(hours=1)
        assert find_health(world.aws, world.clock).stopped[0].id == last.id


def test_where_cloudwatch_has_nothing_the_api_is_asked(world: World) -> None:
    found = find_health(world.aws, world.clock)
    assert found.queue is None
    (warning,) = found.warnings
    assert warning.startswith("the queue's state is unknown: ")


def test_watching_outlives_a_failure_and_ends_with_ctrl_c(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[int] = []

    def fail_once() -> None:
        asked.append(1)
        if len(asked) == 2:
            raise ClientError(
                {"Error": {"Code": "ThrottlingException", "Message": "Rate exceeded"}},
                "GetMetricData",
            )

    before(world.aws, "cloudwatch", "get_metric_data", fail_once)
    world.interrupt_after = 3
    with pytest.raises(KeyboardInterrupt):
        follow(world.aws, world.clock)
    assert len(asked) == 4
    assert world.now - NOW == timedelta(seconds=3 * WATCH_SECONDS)
    assert capsys.readouterr().err == ""


def test_a_stage_that_is_not_there_is_said_to_be_so(world: World) -> None:
    elsewhere = Aws(Target(read_stage("prod"), region=REGION))
    with pytest.raises(NotDeployedError, match="stage prod is not deployed here"):
        find_health(elsewhere, world.clock)


def test_what_may_not_be_read_is_named(world: World) -> None:
    refuse(world.aws, "cloudwatch", "get_metric_data", "AccessDeniedException", "Not you.")
    with pytest.raises(DeniedError, match="may not call"):
        find_health(world.aws, world.clock)


HEALTH = Health(
    stage="dev",
    at=AT,
    services=(
        judge_service(
            DEV,
            replace(
                SERVICE,
                pending=1,
                events=(
                    Event(
                        AT - timedelta(minutes=2),
                        f"(service {DEV_PREFIX}-worker-service) has reached a steady state.",
                    ),
                ),
            ),
            SCALING,
            [replace(TASK, status="PENDING", is_pulling=True)],
            f"{DEFINITION}:5",
        ),
    ),
    targets=(
        TargetHealth("10.0.0.1:8000", "healthy", ""),
        TargetHealth("10.0.0.2:8000", "unhealthy", "Timed out"),
    ),
    queue=QueueHealth(12, 34.4, 2, AT),
    pools={"worker-reports": QueueHealth(4, 61.2, 1, AT), "worker-mail": None},
    acu=0.5,
    alarms=(
        Alarm("a", "api-errors", "ALARM", tells=True),
        Alarm("b", "no-worker", "OK", tells=True),
        Alarm("c", "no-metrics", "ALARM", tells=False),
    ),
    stopped=tuple(
        last_stopped([replace(TASK, stopped=AT - timedelta(hours=1), stop_reason="[bold]Why")])
    ),
    warnings=("look here",),
)


def test_one_screen_says_it_all(capsys: pytest.CaptureFixture[str]) -> None:
    print_screen(draw(HEALTH))
    said = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in said.splitlines()]
    assert lines == [
        "stage dev, 2026-11-22 05:00:00 UTC",
        "",
        "service desired running pending bounds revision rollout",
        "worker 2 2 1 1..4 4 COMPLETED 1 PENDING (pulling image)",
        "",
        "targets 1 healthy, 1 unhealthy",
        "10.0.0.2:8000 unhealthy: Timed out",
        "queue backlog 12, oldest job 34 s, 2 workers alive, at 05:00:00",
        "worker-reports backlog 4, oldest job 61 s, 1 workers alive, at 05:00:00",
        "worker-mail unknown: CloudWatch has no numbers of it yet",
        "database 0.5 ACU",
        "alarms 1 of 2 ring: api-errors, 1 are off",
        "",
        "! look here",
        "",
        "stopped of ECS task code reason exit codes",
        f"1 h ago {DEV_PREFIX}-worker-service 01234567 - [bold]Why -",
        "",
        "event of what ECS says",
        "2 min ago worker has reached a steady state.",
    ]


def test_json_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    print_json(HEALTH)
    found = json.loads(capsys.readouterr().out)
    assert found["at"] == "2026-11-22T05:00:00+00:00"
    assert found["services"][0]["bounds"] == {"minimum": 1, "maximum": 4}
    assert found["services"][0]["starting"] == "1 PENDING (pulling image)"
    assert found["queue"]["backlog"] == 12
    assert found["stopped"][0]["exit_codes"] == {}
