"""`moor restart`: new ECS tasks of the same revision, which read their secrets again."""

from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs import rollouts
from scripts.ecs.rollouts import FORWARDS
from scripts.ecs.services import find_services
from scripts.secrets.kept import check_start
from scripts.terminal.options import DEFAULT_STAGE, StageOption, YesOption, confirm, process_name
from service.contract import ProcessName


def restart(
    process: Annotated[
        ProcessName | None,
        typer.Argument(
            parser=process_name,
            metavar="[api|worker]",
            show_choices=False,
            help="Both, if none is named.",
        ),
    ] = None,
    yes: YesOption = False,
    stage: StageOption = DEFAULT_STAGE,
) -> None:
    """New ECS tasks of the same revision, one after the other, without an interruption. They read
    all secrets again, as `moor secrets set` has left them."""
    aws = connect(stage)
    processes = (process,) if process else FORWARDS
    services = find_services(aws)
    for each in processes:
        if services[each].desired:
            check_start(aws, services[each].task_definition, each)
    confirm(aws.target, f"restart {' and '.join(processes)}", yes)
    rollouts.restart(aws, processes, Clock())
