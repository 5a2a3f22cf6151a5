"""One ECS task: its containers, its environment, its end."""

import json
import os
import signal
from datetime import UTC, datetime
from typing import Any

import psutil

from tests.scripts.conftest import wait_until
from tests.twin.conftest import Ecs

SECRETS = (
    "PLAIN", "FIELD", "UNSUFFIXED", "ELSEWHERE", "PARAMETER", "NAMED", "OPEN",
)  # fmt: skip


def container(task: dict[str, Any], name: str = "main") -> dict[str, Any]:
    (found,) = (each for each in task["containers"] if each["name"] == name)
    return dict(found)


def test_one_off_task_gives_its_exit_code(ecs: Ecs) -> None:
    definition = ecs.define({"command": ["leave", "0"]})
    override = {"name": "main", "command": ["leave", "7"]}
    arn = ecs.run(definition, overrides={"containerOverrides": [override]}, startedBy="me")
    task = ecs.await_stopped(arn)
    assert container(task)["exitCode"] == 7
    assert task["stopCode"] == "EssentialContainerExited"
    assert task["stoppedReason"] == "Essential container in task exited"
    assert task["desiredStatus"] == "STOPPED"
    assert task["createdAt"] <= task["startedAt"] <= task["stoppingAt"] <= task["stoppedAt"]
    assert (task["startedBy"], task["launchType"]) == ("me", "FARGATE")
    wait_until(lambda: ecs.lines(arn) == ["leaving"], "its line")
    shown = ecs.client.list_tasks(cluster="test", desiredStatus="STOPPED", startedBy="me")
    assert shown["taskArns"] == [arn]


def test_task_shows_its_containers_as_they_run(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}))
    ecs.await_line(arn, "pid ")
    wait_until(lambda: ecs.task(arn)["lastStatus"] == "RUNNING", "it runs")
    task = ecs.task(arn)
    assert (task["lastStatus"], task["desiredStatus"]) == ("RUNNING", "RUNNING")
    assert task["healthStatus"] == "UNKNOWN"
    shown = container(task)
    assert shown["lastStatus"] == "RUNNING"
    assert "exitCode" not in shown
    assert shown["image"] == "registry.example/test:good"
    assert shown["runtimeId"].startswith(arn.rpartition("/")[2])
    ecs.client.stop_task(cluster="test", task=arn, reason="enough")
    task = ecs.await_stopped(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "enough")
    assert container(task)["exitCode"] == 0


def test_containers_start_when_what_they_depend_on_is_there(ecs: Ecs) -> None:
    first = {"name": "first", "command": ["leave", "0"], "essential": False}
    ready = {
        "name": "ready", "command": ["late", "1"], "essential": False,
        "healthCheck": {"command": ["CMD", "python", "-m", "service", "check"], "startPeriod": 60},
    }  # fmt: skip
    needs = [
        {"containerName": "first", "condition": "SUCCESS"},
        {"containerName": "ready", "condition": "HEALTHY"},
    ]
    arn = ecs.run(ecs.define(first, ready, {"command": ["leave", "0"], "dependsOn": needs}))
    task = ecs.await_stopped(arn)
    assert [container(task, name)["exitCode"] for name in ("first", "ready", "main")] == [0, 0, 0]

    def written() -> list[tuple[int, str]]:
        found = ecs.logs.filter_log_events(logGroupName="/ecs/test")["events"]
        mine = [e for e in found if e["logStreamName"].endswith(arn.rpartition("/")[2])]
        return [(e["timestamp"], e["logStreamName"].split("/")[1]) for e in mine]

    wait_until(lambda: len({name for _, name in written()}) == 3, "a line of each")
    assert list(dict.fromkeys(name for _, name in sorted(written()))) == ["first", "ready", "main"]


def test_task_does_not_start_after_a_container_that_had_to_succeed(ecs: Ecs) -> None:
    first = {"name": "first", "command": ["leave", "3"], "essential": False}
    needs = [{"containerName": "first", "condition": "SUCCESS"}]
    arn = ecs.run(ecs.define(first, {"command": ["wait"], "dependsOn": needs}))
    task = ecs.await_stopped(arn)
    assert task["stopCode"] == "TaskFailedToStart"
    assert container(task, "first")["exitCode"] == 3
    assert "[first] for target [main]" in container(task)["reason"]
    assert "did not exit successfully" in container(task)["reason"]
    assert "exitCode" not in container(task)
    assert "startedAt" not in task
    assert ecs.lines(arn) == []


def test_missing_image_is_said_as_ecs_says_it(ecs: Ecs) -> None:
    task = ecs.await_stopped(ecs.run(ecs.define({"image": "registry.example/test:none"})))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith("CannotPullContainerError: ")
    assert "registry.example/test:none: not found" in task["stoppedReason"]


def test_missing_log_group_keeps_the_task_from_starting(ecs: Ecs) -> None:
    options = {"awslogs-group": "/none", "awslogs-stream-prefix": "test"}
    log = {"logDriver": "awslogs", "options": options}
    task = ecs.await_stopped(ecs.run(ecs.define({"command": ["wait"], "logConfiguration": log})))
    assert task["stoppedReason"].startswith(
        "ResourceInitializationError: failed to validate logger"
    )


def test_container_is_told_its_definition_and_nothing_of_this_machine(ecs: Ecs) -> None:
    secrets = ecs.boto("secretsmanager")
    plain = secrets.create_secret(Name="plain", SecretString="sesame-1")["ARN"]
    document = secrets.create_secret(Name="document", SecretString=json.dumps({"key": "sesame-2"}))
    ssm = ecs.boto("ssm")
    ssm.put_parameter(Name="/team/smtp", Value="sesame-3", Type="SecureString")
    ssm.put_parameter(Name="open", Value="sesame-4", Type="String")
    parameters = "arn:aws:ssm:us-east-1:123456789012:parameter"
    definition = ecs.define({
        "command": ["show", "NAME", "ADDED", *SECRETS, "AWS_ENDPOINT_URL"],
        "environment": [
            {"name": "NAME", "value": "given"}, {"name": "AWS_ENDPOINT_URL", "value": "aws"},
        ],
        "secrets": [
            {"name": "PLAIN", "valueFrom": plain},
            {"name": "FIELD", "valueFrom": f"{document['ARN']}:key::"},
            {"name": "UNSUFFIXED", "valueFrom": f"{document['ARN'][:-7]}:key::"},
            {"name": "ELSEWHERE", "valueFrom": plain.replace("us-east-1", "eu-west-1")},
            {"name": "PARAMETER", "valueFrom": f"{parameters}/team/smtp"},
            {"name": "NAMED", "valueFrom": "/team/smtp"},
            {"name": "OPEN", "valueFrom": f"{parameters}/open"},
        ],
    })  # fmt: skip
    added = {"name": "main", "environment": [{"name": "ADDED", "value": "for this run"}]}
    arn = ecs.run(definition, overrides={"containerOverrides": [added]})
    names = set(ecs.await_line(arn, "all ").split())
    assert ecs.lines(arn)[:10] == [
        "NAME given", "ADDED for this run", "PLAIN sesame-1", "FIELD sesame-2",
        "UNSUFFIXED sesame-2", "ELSEWHERE sesame-1", "PARAMETER sesame-3", "NAMED sesame-3",
        "OPEN sesame-4", f"AWS_ENDPOINT_URL {ecs.twin.endpoint}",
    ]  # fmt: skip
    assert names == {
        "NAME", "ADDED", *SECRETS, "PATH", "HOME", "LANG", "PYTHONUNBUFFERED", "TMPDIR",
        "WORKER_HEARTBEAT_FILE", "METRIC_SECONDS", "ECS_AGENT_URI", "ECS_CONTAINER_METADATA_URI_V4",
        *(name for name in ecs.twin.environment if name.startswith("AWS_") and "KEY" not in name),
    } | (names & {"LC_CTYPE", "__CF_USER_TEXT_ENCODING"})  # fmt: skip
    assert "sesame" not in json.dumps(ecs.task(arn), default=str)
    assert "sesame" not in (ecs.home / "log").read_text()


def test_missing_secret_keeps_the_task_from_starting(ecs: Ecs) -> None:
    document = ecs.boto("secretsmanager").create_secret(Name="other", SecretString='{"a": "b"}')
    none = "arn:aws:secretsmanager:us-east-1:123456789012:secret:none-AbCdEf"
    parameter = "arn:aws:ssm:us-east-1:123456789012:parameter/none"
    for value_from, words in (
        (none, none), (f"{document['ARN']}:z::", "contain json key z"),
        (parameter, "invalid ssm parameters: /none"),
        ("arn:aws:s3:::x", "invalid ARN of a secret or parameter"),
    ):  # fmt: skip
        secret = {"name": "PLAIN", "valueFrom": value_from}
        task = ecs.await_stopped(ecs.run(ecs.define({"command": ["wait"], "secrets": [secret]})))
        reason = task["stoppedReason"]
        assert reason.startswith("ResourceInitializationError: unable to pull secrets"), reason
        assert words in reason


def test_container_that_minds_no_sigterm_is_killed_after_its_stop_timeout(ecs: Ecs) -> None:
    arns = [
        ecs.run(ecs.define({"command": [what], "stopTimeout": 5}))
        for what in ("wait", "plain", "stubborn")
    ]
    for arn in arns:
        ecs.await_line(arn, "pid ")
        ecs.client.stop_task(cluster="test", task=arn)
    tasks = [ecs.await_stopped(arn) for arn in arns]
    assert [container(task)["exitCode"] for task in tasks] == [0, 143, 137]
    seconds = [(t["stoppedAt"] - t["stoppingAt"]).total_seconds() for t in tasks]
    assert seconds[2] >= 5 > max(seconds[:2]), seconds


def test_container_stops_after_those_that_depend_on_it(ecs: Ecs) -> None:
    side = {"name": "side", "command": ["wait"]}
    needs = [{"containerName": "side", "condition": "START"}]
    main = {"command": ["stubborn"], "stopTimeout": 2, "dependsOn": needs}
    arn = ecs.run(ecs.define(side, main))
    for name in ("side", "main"):
        ecs.await_line(arn, "pid ", name)
    ecs.client.stop_task(cluster="test", task=arn)
    task = ecs.await_stopped(arn)
    assert [container(task, name)["exitCode"] for name in ("side", "main")] == [0, 137]
    ecs.await_line(arn, "ending", "side")
    stream = f"test/side/{arn.rpartition('/')[2]}"
    events = ecs.logs.get_log_events(logGroupName="/ecs/test", logStreamName=stream)["events"]
    ended = datetime.fromtimestamp(events[-1]["timestamp"] / 1000, UTC)
    assert (ended - task["stoppingAt"]).total_seconds() >= 2  # main had its time first


def test_what_a_container_left_behind_ends_with_it(ecs: Ecs) -> None:
    # the child outlives the shell, and would mind no SIGTERM
    command = ["trap '' TERM; sleep 600 & echo pid $!; trap - TERM; wait"]
    arn = ecs.run(ecs.define({"entryPoint": ["/bin/sh", "-c"], "command": command}))
    left = psutil.Process(int(ecs.await_line(arn, "pid ")))
    ecs.client.stop_task(cluster="test", task=arn)
    ecs.await_stopped(arn)
    wait_until(lambda: not left.is_running() or left.status() == psutil.STATUS_ZOMBIE, "no child")


def test_killed_container_shows_137(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["wait"]}))
    os.kill(int(ecs.await_line(arn, "pid ")), signal.SIGKILL)
    task = ecs.await_stopped(arn)
    assert container(task)["exitCode"] == 137
    assert task["stopCode"] == "EssentialContainerExited"


def test_every_line_arrives_once_and_in_order(ecs: Ecs) -> None:
    arn = ecs.run(ecs.define({"command": ["count", "9000"]}))
    ecs.await_stopped(arn)
    wait_until(lambda: len(ecs.lines(arn)) >= 9000, "all lines")
    assert ecs.lines(arn) == [f"line {n}" for n in range(9000)]


def test_tasks_are_listed_in_pages_and_unknown_ones_are_missing(ecs: Ecs) -> None:
    arns = {ecs.run(ecs.define({"command": ["wait"]}), startedBy="pages") for _ in range(3)}
    pages = ecs.client.get_paginator("list_tasks").paginate(
        cluster="test", startedBy="pages", PaginationConfig={"PageSize": 2}
    )
    found = [page["taskArns"] for page in pages]
    assert [len(page) for page in found] == [2, 1]
    assert {arn for page in found for arn in page} == arns
    answer = ecs.client.describe_tasks(cluster="test", tasks=["none"])
    assert [each["reason"] for each in answer["failures"]] == ["MISSING"]
    for arn in arns:
        ecs.client.stop_task(cluster="test", task=arn)
