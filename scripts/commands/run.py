"""`moor run`: a command in an ECS task of its own."""

import os
import shlex
from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs.one_off import (
    container_command,
    exit_code,
    heed_signals,
    run_task_arguments,
    start,
    stopped_if_interrupted,
    watch,
)
from scripts.logs.log_lines import is_metric, parse, render, render_message
from scripts.logs.log_reading import Event
from scripts.session.session_task import check_service
from scripts.terminal.answer import print_line, say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, YesOption, confirm
from scripts.terminal.render import shows_colours
from service.contract import ProcessName

STARTED_BY = "moor-run"


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    *,
    as_api: Annotated[bool, typer.Option("--api", help="With the API's settings.")] = False,
    as_worker: Annotated[
        bool, typer.Option("--worker", help="With a worker's settings, the default.")
    ] = False,
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """A command in an ECS task of its own, of the same image, settings and rights.

    The migrations run first, as for every ECS task. Shows what it writes; the exit code is the
    command's. Ctrl-C stops the ECS task. `moor run -- migrate` runs a process of the image.
    """
    if as_api and as_worker:
        raise typer.BadParameter("--api and --worker exclude each other")
    process = ProcessName.API if as_api else ProcessName.WORKER
    aws, clock = connect(stage), Clock()
    confirm(aws.target, f"run {shlex.join(command)} in an ECS task of its own", yes)
    answer = aws.call(
        "ecs", "describe_services",
        cluster=aws.names.cluster, services=[aws.names.service(process)],
    )  # fmt: skip
    service = check_service(aws.target, process, answer)
    override = {"name": process, "command": container_command(command)}
    arguments = run_task_arguments(
        service,
        task_definition=service["taskDefinition"],
        started_by=STARTED_BY,
        overrides={"containerOverrides": [override]},
        has_exec=service.get("enableExecuteCommand", False),
    )
    is_coloured = shows_colours(os.environ)

    def show(event: Event) -> None:
        if event.process != process:
            say(render(event, is_coloured=False))
        elif not is_metric(parse(event.message)):
            print_line(render_message(event.message, is_coloured=is_coloured))

    heed_signals()
    arn = start(aws, arguments)
    with stopped_if_interrupted(aws, arn, "moor run was interrupted"):
        say(f"ECS task {arn.rpartition('/')[2]} runs {shlex.join(command)}")
        task = watch(aws, arn, process, show, clock)
    return exit_code(task, process)
