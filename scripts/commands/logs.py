"""`moor logs`: the log lines of a stage's processes, in order of time."""

import os
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated

import typer

from scripts.aws import connect
from scripts.clock import Clock
from scripts.ecs.ecs_events import EcsEvents
from scripts.logs.log_lines import as_object, is_metric, names_job, parse, render
from scripts.logs.log_reading import Event, Source, follow, groups, history
from scripts.terminal.answer import print_json, print_line, say
from scripts.terminal.duration import in_words
from scripts.terminal.options import DEFAULT_STAGE, SERVICES, StageOption, duration_value
from scripts.terminal.render import shows_colours
from service.contract import ProcessName

LOGGED = (*SERVICES, ProcessName.MIGRATE)


def logged_process(value: str) -> ProcessName:
    """An argument that names a process with a log."""
    if value not in LOGGED:
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(LOGGED)}")
    return ProcessName(value)


def logs(
    processes: Annotated[
        list[ProcessName] | None,
        typer.Argument(
            parser=logged_process,
            metavar="[api|worker|migrate]...",
            show_choices=False,
            help="All, if none is named.",
        ),
    ] = None,
    *,
    is_following: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C; shows ECS events too.")
    ] = False,
    since: Annotated[
        timedelta, typer.Option(parser=duration_value, metavar="15m", help="How far back.")
    ] = "15m",  # type: ignore[assignment]
    job: Annotated[
        str, typer.Option(metavar="KEY", help="Only lines of this job, from API to worker.")
    ] = "",
    grep: Annotated[str, typer.Option(metavar="TEXT", help="Only lines with this text.")] = "",
    task: Annotated[
        str, typer.Option(metavar="ID", help="Only this ECS task; the start of its id is enough.")
    ] = "",
    stage: StageOption = DEFAULT_STAGE,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object for each line.")] = False,
) -> None:
    """The log lines of the stage's processes, also those of stopped ECS tasks."""
    aws, clock = connect(stage), Clock()
    wanted = tuple(processes or LOGGED)
    sources: list[Source] = [*groups(aws, wanted, ecs_task=task, text=job)]
    start = clock.now() - since
    events: Iterable[Event]
    if is_following:
        if not job:
            sources += [EcsEvents(aws, process) for process in SERVICES if process in wanted]
        events = follow(sources, start, clock, patient=not aws.target.is_local)
    else:
        events = history(sources, start)
    is_coloured = shows_colours(os.environ)

    def show(event: Event) -> None:
        if as_json:
            print_json(as_object(event), indent=None)
        else:
            print_line(render(event, is_coloured=is_coloured))

    is_silent = True
    for event in events:
        if is_wanted(event, job_key=job, text=grep, with_metrics=as_json):
            show(event)
            is_silent = False
    if is_silent:
        say(f"No such line in the last {in_words(since)}; --since 2h goes further back.")


def is_wanted(event: Event, *, job_key: str, text: str, with_metrics: bool) -> bool:
    """Do the options of the command select this line?"""
    if text and text not in event.message:
        return False
    fields = parse(event.message)
    if job_key:
        return names_job(fields, job_key)
    return with_metrics or not is_metric(fields)
