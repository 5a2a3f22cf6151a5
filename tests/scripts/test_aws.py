"""The one door to AWS: what is slow is waited for, what is many is read to its end."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders

from scripts.aws import Aws
from scripts.aws_errors import ATTEMPTS
from scripts.commands.scale import Wanted, run
from scripts.ecs.autoscaling import Bounds
from scripts.ecs.services import find_services
from scripts.ecs.tasks import describe_tasks, find_tasks
from scripts.errors import NotFoundError, UnreachableError
from service.contract import ProcessName
from tests.scripts.world import REGION, World, deployed

WORKER = ProcessName.WORKER


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed() as found:
        yield found


class Body:
    """As urllib3 gives it."""

    def stream(self, **_given: Any) -> Iterator[bytes]:
        yield b'{"__type": "ThrottlingException", "message": "Rate exceeded"}'


def throttle(aws: Aws, operation: str, times: int) -> list[int]:
    """So many calls are answered so before moto answers; the list grows by one for each."""
    asked: list[int] = []

    def answer(**_given: Any) -> AWSResponse | None:
        asked.append(1)
        return (
            AWSResponse("https://ecs", 400, HTTPHeaders(), Body()) if len(asked) <= times else None
        )

    # The waits between attempts are random, up to so many seconds.
    events = aws._client("ecs").meta.events
    events.register_first(f"before-send.ecs.{operation}", answer)
    return asked


def test_a_throttled_call_is_tried_again(world: World) -> None:
    asked = throttle(world.aws, "UpdateService", 1)
    run(world.aws, WORKER, Wanted(count=2), world.clock)
    assert len(asked) == 2
    assert world.service(WORKER).desired_count == 2


def test_a_call_that_stays_throttled_is_given_up_and_what_stands_is_said(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = throttle(world.aws, "UpdateService", 1000)
    with pytest.raises(UnreachableError, match="slow down"):
        run(world.aws, WORKER, Wanted(count=2), world.clock)
    assert len(asked) == ATTEMPTS
    assert "Done so far: bounds are 2..2, they were 1..4." in capsys.readouterr().err


def test_250_ecs_tasks_are_read_over_all_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with deployed(counts=(1, 250), bounds=(Bounds(1, 4), Bounds(1, 300))) as world:
        service = find_services(world.aws)[WORKER]
        found = find_tasks(world.aws, service)
        assert len({task.id for task in found}) == 250
        assert {task.group for task in found} == {f"service:{service.name}"}


def test_no_ecs_tasks_are_described_without_a_call(world: World) -> None:
    assert describe_tasks(world.aws, []) == []
    assert world.aws.together() == []


def test_the_answers_of_calls_at_a_time_are_in_their_order(world: World) -> None:
    cluster = world.stage.names.cluster
    names = [world.stage.names.service(process) for process in (WORKER, ProcessName.API)]
    answers = world.aws.together(
        *(("ecs", "describe_services", {"cluster": cluster, "services": [n]}) for n in names * 8)
    )
    assert [each["services"][0]["serviceName"] for each in answers] == names * 8


def test_one_failure_among_calls_at_a_time_is_raised(world: World) -> None:
    with pytest.raises(NotFoundError):
        world.aws.together(
            ("ecs", "list_clusters", {}),
            ("ecs", "list_tasks", {"cluster": "no-such-cluster"}),
        )


def test_an_argument_may_have_the_name_of_ours(world: World) -> None:
    made = boto3.client("ecs").list_services(cluster=world.stage.names.cluster)["serviceArns"]
    answer = world.aws.call(
        "ecs", "update_service", cluster=world.stage.names.cluster, service=made[0], desiredCount=1
    )
    assert answer["service"]["desiredCount"] == 1
