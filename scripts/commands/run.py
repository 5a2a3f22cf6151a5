"""`moor run`: a command in a new ECS task."""

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
from scripts.ecs.services import find_service
from scripts.logs.log_lines import is_metric, parse, render, render_message
from scripts.logs.log_reading import Event
from scripts.processes import API, WORKER, container_of, find_process
from scripts.secrets.kept import check_start
from scripts.terminal.answer import print_line, say
from scripts.terminal.options import (
    DEFAULT_STAGE,
    PROCESS_METAVAR,
    StageOption,
    YesOption,
    confirm,
    process_name,
    processes,
)
from scripts.terminal.render import shows_colours

STARTED_BY = "moor-run"


def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND...")],
    *,
    as_api: Annotated[bool, typer.Option("--api", help="With the API's settings.")] = False,
    as_worker: Annotated[
        bool, typer.Option("--worker", help="With a worker's settings, the default.")
    ] = False,
    as_process: Annotated[
        str | None,
        typer.Option(
            "--as",
            parser=process_name,
            metavar=PROCESS_METAVAR,
            help="With the settings of that process, such as those of a worker pool.",
            autocompletion=processes,
        ),
    ] = None,
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """A command in a new ECS task with the image, settings and rights of the process.

    The migrations run first, as in every ECS task. The command's output is shown, and its exit code
    is that of `moor`. Ctrl-C stops the ECS task. `moor run -- migrate` runs a process of the image.
    """
    if as_api + as_worker + bool(as_process) > 1:
        raise typer.BadParameter("--api, --worker and --as exclude each other")
    process = as_process or (API if as_api else WORKER)
    aws, clock = connect(stage), Clock()
    find_process(aws, process)
    confirm(aws.target, f"run {shlex.join(command)} in an ECS task of its own", yes)
    service = find_service(aws, process)
    check_start(aws, {process: service.task_definition})
    container = container_of(process)
    override = {"name": container, "command": container_command(command)}
    arguments = run_task_arguments(
        service,
        task_definition=service.task_definition,
        started_by=STARTED_BY,
        overrides={"containerOverrides": [override]},
        has_exec=service.has_exec,
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
    return exit_code(task, container)
