"""From a container's output to CloudWatch Logs."""

import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.twin.backends import Backends
from scripts.twin.client.state import ACCOUNT
from scripts.twin.ecs.awslogs import GROUP_EVENTS_MAX, STREAM_EVENTS_MAX, Lines, listen
from scripts.twin.ecs.container import Container
from scripts.twin.ecs.task_roles import TaskRoles
from scripts.twin.iam.judge import Judge
from tests.scripts.conftest import wait_until
from tests.twin.conftest import GROUP, usual
from tests.twin.stand import client, cloud


@pytest.fixture
def backends() -> Iterator[Backends]:
    with cloud() as found:
        client("logs").create_log_group(logGroupName=GROUP)
        yield found


def open_lines(lines: Lines, task_id: str) -> Any:
    container = Container(
        usual(), override={}, task_arn="arn:task/1", task_id=task_id, network_interfaces=[]
    )
    task = SimpleNamespace(id=task_id, task_arn=f"arn:aws:ecs:us-east-1:{ACCOUNT}:task/{task_id}")
    roles = TaskRoles(Judge(Path("no twin")), task, task=None, execution=None)
    return lines.open(task, container, roles)


def streams(backends: Backends) -> dict[str, list[str]]:
    found = backends.logs.groups[GROUP].streams
    return {name.split("/")[-1]: [e.message for e in s.events] for name, s in found.items()}


def test_what_waits_is_shipped_before_the_end(backends: Backends) -> None:
    lines = Lines(backends)
    lines.start()
    write = open_lines(lines, "one")
    for n in range(3000):
        write(f"line {n}")
    lines.stop()
    assert streams(backends) == {"one": [f"line {n}" for n in range(3000)]}


def test_line_is_there_soon(backends: Backends) -> None:
    lines = Lines(backends)
    lines.start()
    began = time.time()
    open_lines(lines, "one")("hello")
    wait_until(lambda: streams(backends)["one"], "the line")
    (event,) = client("logs").filter_log_events(logGroupName=GROUP)["events"]
    lines.stop()
    assert event["message"] == "hello"
    assert began * 1000 - 1 <= event["timestamp"] <= time.time() * 1000


def test_listener_hears_each_line_and_one_that_fails_loses_none(backends: Backends) -> None:
    heard = []
    listen(lambda record, name, line: heard.append((record.id, name, line)))

    def fail(record: Any, name: str, line: str) -> None:
        if record.id == "heard":
            raise ValueError(line)

    listen(fail)
    lines = Lines(backends)
    lines.start()
    write = open_lines(lines, "heard")
    for line in ("one", "two"):
        write(line)
    lines.stop()
    assert [each for each in heard if each[0] == "heard"] == [
        ("heard", "main", "one"), ("heard", "main", "two"),
    ]  # fmt: skip
    assert streams(backends) == {"heard": ["one", "two"]}


def test_only_the_newest_lines_are_kept(backends: Backends) -> None:
    lines = Lines(backends)
    lines.start()
    count = STREAM_EVENTS_MAX + 10
    tasks = [str(n) for n in range(GROUP_EVENTS_MAX // STREAM_EVENTS_MAX + 1)]
    for task in tasks:
        write = open_lines(lines, task)
        for n in range(count):
            write(str(n))
    lines.stop()
    found = streams(backends)
    assert list(found) == tasks[1:]  # the oldest stream is gone
    assert found[tasks[-1]][0] == "10"
    assert found[tasks[-1]][-1] == str(count - 1)
    assert sum(map(len, found.values())) <= GROUP_EVENTS_MAX
