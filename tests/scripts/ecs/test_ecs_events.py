"""What ECS did, among the lines of a log, in its own words."""

from dataclasses import replace

from scripts.ecs.ecs_events import service_events, stops
from scripts.ecs.tasks import Container
from scripts.logs.log_reading import Event, milliseconds
from tests.scripts.values import AT, TASK


def test_stop_says_which_container_failed_and_how() -> None:
    task = replace(
        TASK,
        id="abc",
        status="STOPPED",
        stopped=AT,
        stop_reason="Essential container in task exited",
        containers=(
            Container("migrate", "STOPPED", 1),
            Container("worker", "STOPPED", reason="CannotStartContainerError: x"),
            Container("fine", "STOPPED", 0),
        ),
    )
    assert list(stops([task, TASK])) == [
        Event(
            "abc-stopped", milliseconds(AT), "ecs", "abc",
            "ECS task abc stopped: Essential container in task exited "
            "(migrate: exit code 1; worker: CannotStartContainerError: x)",
        )
    ]  # fmt: skip


def test_deployments_are_told_in_the_words_of_ecs() -> None:
    said = "(service worker) has reached a steady state."
    service = {"events": [{"id": "e1", "createdAt": AT, "message": said}]}
    assert list(service_events(service)) == [Event("e1", milliseconds(AT), "ecs", "", said)]
