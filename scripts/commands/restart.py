"""`moor restart`: new ECS tasks of the same revision, which read their secrets again."""

from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs import rollouts
from scripts.ecs.services import find_services
from scripts.processes import find_process, forwards
from scripts.secrets.kept import check_start
from scripts.terminal.options import (
    DEFAULT_STAGE,
    PROCESS_METAVAR,
    StageOption,
    YesOption,
    confirm,
    process_name,
    processes,
)


def restart(
    process: Annotated[
        str | None,
        typer.Argument(
            parser=process_name,
            metavar=f"[{PROCESS_METAVAR}]",
            help="All, if none is named.",
            autocompletion=processes,
        ),
    ] = None,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
) -> None:
    """New ECS tasks of the same revision, one after the other, without an interruption. They read
    all secrets again, as `moor secrets set` has left them."""
    aws = connect(stage)
    named = (find_process(aws, process),) if process else forwards(aws)
    services = find_services(aws)
    check_start(
        aws, {each: services[each].task_definition for each in named if services[each].desired}
    )
    confirm(aws.target, f"restart {' and '.join(named)}", yes)
    rollouts.restart(aws, named, Clock())
