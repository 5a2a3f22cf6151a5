"""`moor debug`: a shell in an idle ECS task that is a copy of the process's own."""

import sys
from datetime import timedelta
from typing import Annotated

import typer

from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.debug_definition import debug_definition
from scripts.ecs.one_off import describe, heed_signals, run_task_arguments, start, stop
from scripts.ecs.services import Service, find_service
from scripts.ecs.tasks import RUNNING, STOPPED
from scripts.errors import OperatorError, OverdueError
from scripts.processes import API, WORKER, container_of, find_process, pool_of
from scripts.secrets.kept import check_start
from scripts.session.plugin import SHELL, find_plugin, hand_over, open_session
from scripts.session.session_task import await_agent, without_exec
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
from stacks.config.naming import Output, pool_output

STARTED_BY = "moor-debug"
START_SECONDS = 180  # an image of some hundred megabytes is pulled first
POLL_SECONDS = 1.0


def debug(
    process: ProcessArgument = WORKER,
    *,
    for_: Annotated[
        timedelta,
        typer.Option(
            "--for", parser=duration_value, metavar="1h", help="Stop the ECS task after this time."
        ),
    ] = "1h",  # type: ignore[assignment]
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """A shell in a new ECS task with the process's image, settings, rights and network.

    The ECS task takes no jobs and no requests, and its disk can be written to. It ends with the
    shell, or by itself after the given time.
    """
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OperatorError("a shell needs a terminal", "`moor run -- COMMAND` needs none.")
    aws, clock = connect(stage), Clock()
    find_process(aws, process)
    confirm(
        aws.target, f"start an ECS task with the rights of the {process}, and a shell in it", yes
    )
    find_plugin(is_local=aws.target.is_local)
    service = find_service(aws, process)
    check_start(aws, {process: service.task_definition})
    role = ""  # empty: the process's own role, which may open sessions where exec is enabled
    if not service.has_exec:
        if process != API:
            role = aws.outputs.get(pool_output(Output.DEBUG_ROLE, pool_of(process)), "")
        if not role:
            raise without_exec(aws.target)
    heed_signals()
    registered = register(aws, service, container_of(process), round(for_.total_seconds()), role)
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
        # The running ECS task does not need it any more; deregistered now, it cannot be left over.
        deregister(aws, registered)
        registered = ""
        container = await_agent(aws, describe(aws, arn, clock), container_of(process), clock)
        say(f"another shell in it: `{aws.target.command(f'exec {process} --task {id}')}`")
        return hand_over(open_session(aws, container, SHELL))
    finally:
        if registered:
            deregister(aws, registered)
        if arn:
            stop(aws, arn, "moor debug has ended")


def register(aws: Aws, service: Service, container: ProcessName, seconds: int, role: str) -> str:
    """Register a debug copy of the ECS service's task definition, and return its ARN."""
    found = aws.call("ecs", "describe_task_definition", taskDefinition=service.task_definition)
    wanted = debug_definition(found["taskDefinition"], container, seconds=seconds, role=role)
    answer = aws.call("ecs", "register_task_definition", **wanted)
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def deregister(aws: Aws, task_definition: str) -> None:
    """Make it impossible to start another ECS task from it."""
    aws.call("ecs", "deregister_task_definition", taskDefinition=task_definition)


def await_running(aws: Aws, arn: str, clock: Clock) -> None:
    """Raises `OperatorError` if the ECS task stops, `OverdueError` if it takes too long."""
    for _ in range(round(START_SECONDS / POLL_SECONDS)):
        task = describe(aws, arn, clock)
        if task.status == RUNNING:
            return
        if task.status == STOPPED:
            raise OperatorError(f"the ECS task did not start: {task.why_stopped}")
        clock.sleep(POLL_SECONDS)
    raise OverdueError(f"the ECS task does not run after {START_SECONDS} s")
