"""`moor debug`: a shell in an ECS task that is like the process's own and does nothing."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from scripts.aws import Answer, Aws, connect
from scripts.clock import Clock
from scripts.ecs.debug_definition import debug_definition
from scripts.ecs.one_off import describe, heed_signals, run_task_arguments, start, stop
from scripts.ecs.tasks import RUNNING, STOPPED
from scripts.errors import OperatorError, OverdueError
from scripts.session.plugin import SHELL, find_plugin, hand_over, open_session
from scripts.session.session_task import await_agent, check_service, without_exec
from scripts.terminal.answer import say
from scripts.terminal.duration import in_words
from scripts.terminal.options import (
    DEFAULT_STAGE,
    ProcessArgument,
    StageOption,
    YesOption,
    confirm,
    duration_value,
)
from service.contract import ProcessName
from stacks.config.naming import Output

STARTED_BY = "moor-debug"
START_SECONDS = 180  # an image of some hundred megabytes is pulled first
POLL_SECONDS = 1.0


def debug(
    process: ProcessArgument = ProcessName.WORKER,
    *,
    for_: Annotated[
        timedelta,
        typer.Option("--for", parser=duration_value, metavar="1h", help="Its end, at latest."),
    ] = "1h",  # type: ignore[assignment]
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """A shell in an ECS task with the process's image, settings, rights and network, which takes
    no jobs and no requests and whose disk can be written to.

    Ends with the shell, or by itself after the given time.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OperatorError("a shell needs a terminal", "`moor run -- COMMAND` needs none.")
    aws, clock = connect(stage), Clock()
    confirm(
        aws.target, f"start an ECS task with the rights of the {process}, and a shell in it", yes
    )
    find_plugin(is_local=aws.target.is_local)
    answer = aws.call(
        "ecs", "describe_services",
        cluster=aws.names.cluster, services=[aws.names.service(process)],
    )  # fmt: skip
    service = check_service(aws.target, process, answer)
    role = ""  # that of the process, where it may open sessions
    if not service.get("enableExecuteCommand"):
        role = aws.outputs.get(Output.DEBUG_ROLE, "") if process is ProcessName.WORKER else ""
        if not role:
            raise without_exec(aws.target)
    heed_signals()
    registered = register(aws, service, process, round(for_.total_seconds()), role)
    arn = ""
    try:
        arn = start(
            aws,
            run_task_arguments(
                service, task_definition=registered, started_by=STARTED_BY,
                overrides={}, has_exec=True,
            ),
        )  # fmt: skip
        id = arn.rpartition("/")[2]
        say(f"ECS task {id} starts; it ends by itself after {in_words(for_)}")
        await_running(aws, arn, clock)
        # What runs needs it no longer, and should we be killed nothing is left of it.
        deregister(aws, registered)
        registered = ""
        container = await_agent(aws, describe(aws, arn, clock), process, clock)
        say(f"another shell in it: `{aws.target.command(f'exec {process} --task {id}')}`")
        return hand_over(open_session(aws, container, SHELL))
    finally:
        if registered:
            deregister(aws, registered)
        if arn:
            stop(aws, arn, "moor debug has ended")


def register(aws: Aws, service: Answer, process: ProcessName, seconds: int, role: str) -> str:
    """Register the twin of the service's task definition; its ARN."""
    found = aws.call("ecs", "describe_task_definition", taskDefinition=service["taskDefinition"])[
        "taskDefinition"
    ]
    wanted = debug_definition(found, process, seconds=seconds, role=role)
    answer = aws.call("ecs", "register_task_definition", **wanted)
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def deregister(aws: Aws, task_definition: str) -> None:
    """Nothing can be started from it any more."""
    aws.call("ecs", "deregister_task_definition", taskDefinition=task_definition)


def await_running(aws: Aws, arn: str, clock: Clock) -> None:
    """Raises `OperatorError` if it ends instead, `OverdueError` if it takes too long."""
    for _ in range(round(START_SECONDS / POLL_SECONDS)):
        task = describe(aws, arn, clock)
        if task.status == RUNNING:
            return
        if task.status == STOPPED:
            raise OperatorError(f"the ECS task did not start: {task.why_stopped}")
        clock.sleep(POLL_SECONDS)
    raise OverdueError(f"the ECS task does not run after {START_SECONDS} s")
