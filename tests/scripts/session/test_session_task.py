"""Each prerequisite of a session is checked first, and the one that fails is named with its fix."""

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.stub import Stubber

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import find_service
from scripts.ecs.tasks import Container, Task
from scripts.errors import (
    DeniedError,
    NotFoundError,
    OperatorError,
    OverdueError,
    RefusedError,
    UnreachableError,
)
from scripts.session.plugin import SessionTarget, open_session, run_command
from scripts.session.session_task import (
    check_exec,
    check_root,
    choose,
    find_container,
    newest_first,
)
from scripts.target import Target
from service.contract import ProcessName
from stacks.config.read_stage import read_stage
from tests.scripts import values
from tests.scripts.cloud import aws
from tests.scripts.prefixes import DEV_PREFIX
from tests.scripts.stage import agent, definition, make_stage, start_task

__all__ = ["aws"]

DEV = Target(read_stage("dev"))
WORKER = ProcessName.WORKER
STARTED = datetime(2026, 1, 1, tzinfo=UTC)
TASK = replace(
    values.TASK,
    id="abc123",
    started=STARTED,
    containers=(Container("worker", "RUNNING", runtime_id="r-1", exec_agent="RUNNING"),),
)


def test_the_newest_is_the_first() -> None:
    newer = replace(TASK, id="new", started=STARTED + timedelta(hours=1))
    waiting = replace(TASK, id="waiting", started=None)
    assert newest_first([waiting, TASK, newer]) == [newer, TASK, waiting]


def test_only_and_newest_is_taken_without_a_terminal() -> None:
    older = replace(TASK, id="def456")
    assert choose([TASK], "", DEV) == TASK
    assert choose([TASK, older], "", DEV) == TASK
    assert choose([TASK, older], "de", DEV) == older
    assert choose([TASK, older], "arn:aws:ecs:us-east-1:1:task/c/def456", DEV) == older


@pytest.mark.parametrize(
    ("tasks", "wanted", "says"),
    [
        ([], "", "no ECS task runs"),
        ([replace(TASK, status="PENDING")], "", "no ECS task runs yet: abc123 is PENDING"),
        ([TASK], "x", "no running ECS tasks begin with x; running: abc123"),
        ([TASK, replace(TASK, id="abc9")], "abc", "several running ECS tasks begin with abc"),
    ],
)
def test_missing_task_is_said(tasks: list[Task], wanted: str, says: str) -> None:
    with pytest.raises(NotFoundError, match=says):
        choose(tasks, wanted, DEV)


def refused(check: Callable[[], object], kind: type[OperatorError]) -> tuple[str, str]:
    with pytest.raises(kind) as caught:
        check()
    return str(caught.value), caught.value.hint


def test_service_that_is_not_there_is_named(aws: Aws) -> None:
    aws.call("ecs", "create_cluster", clusterName=f"{DEV_PREFIX}-cluster")
    message, _ = refused(lambda: find_service(aws, WORKER), NotFoundError)
    assert f"{DEV_PREFIX}-worker-service" in message


def test_task_from_before_exec_is_to_be_restarted_and_else_the_stage_has_none() -> None:
    task = replace(TASK, has_exec=False)
    on, off = replace(values.SERVICE, has_exec=True), replace(values.SERVICE, has_exec=False)
    message, hint = refused(lambda: check_exec(DEV, task, on), RefusedError)
    assert "before exec was turned on" in message
    assert "moor restart worker" in hint
    message, hint = refused(lambda: check_exec(DEV, task, off), RefusedError)
    assert "without exec" in message
    assert "enable_exec = true" in hint
    assert "`moor run --stage dev -- COMMAND`" in hint
    check_exec(DEV, TASK, on)


def test_read_only_root_is_named() -> None:
    described = {"taskDefinition": definition(WORKER, is_read_only=True)}
    message, hint = refused(lambda: check_root(TASK, described, WORKER), RefusedError)
    assert "read-only" in message
    assert "enable_exec = true" in hint
    check_root(TASK, {"taskDefinition": definition(WORKER)}, WORKER)


def test_container_of_a_running_task_is_found(aws: Aws) -> None:
    make_stage()
    task = start_task(WORKER)
    found = find_container(aws, WORKER, "", Clock())
    assert found == SessionTarget(f"{DEV_PREFIX}-cluster", task.id, "worker", "f00d-1")
    assert found.target == f"ecs:{DEV_PREFIX}-cluster_{task.id}_f00d-1"


def test_agent_that_comes_up_is_waited_for(aws: Aws) -> None:
    make_stage()
    task = start_task(WORKER, agent_is="PENDING")
    slept = 0

    def sleep(_seconds: float) -> None:
        nonlocal slept
        slept += 1
        if slept == 5:
            task.containers[1].managed_agents = agent("RUNNING")

    assert find_container(aws, WORKER, "", Clock(sleep=sleep)).runtime_id == "f00d-1"
    assert slept == 5


def test_agent_that_never_comes_is_given_up_with_what_it_needs(aws: Aws) -> None:
    make_stage()
    start_task(WORKER, agent_is="PENDING")
    message, hint = refused(
        lambda: find_container(aws, WORKER, "", Clock(sleep=lambda _: None)), OverdueError
    )
    assert "does not run after 60 s" in message
    assert "ssmmessages" in hint


def test_stopped_agent_and_stopped_container_are_named(aws: Aws) -> None:
    make_stage()
    task = start_task(WORKER, agent_is="STOPPED")
    message, _ = refused(lambda: find_container(aws, WORKER, "", Clock()), OperatorError)
    assert "has stopped" in message
    task.containers[1].last_status = "STOPPED"
    message, _ = refused(lambda: find_container(aws, WORKER, "", Clock()), NotFoundError)
    assert "container worker" in message


@pytest.fixture
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that is on PATH."""
    program = tmp_path / "session-manager-plugin"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    return program


@pytest.mark.usefixtures("plugin")
@pytest.mark.parametrize(
    ("code", "words", "kind", "hint"),
    [
        ("AccessDeniedException", "not authorized", DeniedError, "not authorized"),
        (
            "TargetNotConnectedException",
            "The execute command failed due to an internal error. Try again later.",
            UnreachableError,
            "ssmmessages",
        ),
        ("InvalidParameterException", "The specified task is stopped.", OperatorError, ""),
    ],
)
def test_refusal_of_ecs_says_what_is_missing(
    aws: Aws, *, code: str, words: str, kind: type[OperatorError], hint: str
) -> None:
    with Stubber(aws._client("ecs")) as stub:
        stub.add_client_error("execute_command", code, words, 400)
        with pytest.raises(kind) as caught:
            open_session(aws, SessionTarget("c", "t", "worker", "r"), "/bin/sh")
    assert hint in caught.value.hint


def test_a_key_that_the_plugin_may_not_use_is_named_with_its_policy(aws: Aws, plugin: Path) -> None:
    """It asks KMS itself, with the caller's credentials."""
    words = (
        "Fetching data key failed: AccessDeniedException: User: u is not authorized to perform: "
        "kms:GenerateDataKey on resource: k because no identity-based policy allows it"
    )
    plugin.write_text(f"#!/bin/sh\necho '{words}'\nexit 1\n")
    session = {"sessionId": "s", "streamUrl": "wss://x", "tokenValue": "t"}
    with Stubber(aws._client("ecs")) as stub:
        stub.add_response("execute_command", {"session": session})
        with pytest.raises(DeniedError, match="kms:GenerateDataKey, which the policy debug of"):
            run_command(aws, SessionTarget("c", "t", "worker", "r"), ["true"], lambda _: None)


def test_plugin_gets_what_awss_own_command_line_gives_it(aws: Aws, plugin: Path) -> None:
    session = {"sessionId": "s", "streamUrl": "wss://x", "tokenValue": "t"}
    with Stubber(aws._client("ecs")) as stub:
        stub.add_response(
            "execute_command",
            {"session": session},
            {"cluster": "c", "task": "t", "container": "worker", "interactive": True,
             "command": "/bin/sh"},
        )  # fmt: skip
        found = open_session(aws, SessionTarget("c", "t", "worker", "r"), "/bin/sh")
    assert found == [
        str(plugin),
        '{"sessionId": "s", "streamUrl": "wss://x", "tokenValue": "t"}',
        "us-east-1",
        "StartSession",
        "",
        '{"Target": "ecs:c_t_r"}',
        "https://ssm.us-east-1.amazonaws.com",
    ]
