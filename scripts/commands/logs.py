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
from scripts.processes import deployed, find_process
from scripts.terminal.answer import print_json, print_line, say
from scripts.terminal.duration import in_words
from scripts.terminal.options import (
    DEFAULT_STAGE,
    PROCESS_METAVAR,
    StageOption,
    duration_value,
    process_name,
    processes,
)
from scripts.terminal.render import shows_colours
from service.contract import ProcessName


def logged_process(value: str) -> str:
    """An argument that names a process with a log."""
    return value if value == ProcessName.MIGRATE else process_name(value)


def logs(
    named: Annotated[
        list[str] | None,
        typer.Argument(
            parser=logged_process,
            metavar=f"[{PROCESS_METAVAR}|migrate]...",
            help="All, if none is named.",
            autocompletion=lambda: [*processes(), str(ProcessName.MIGRATE)],
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
    """The log lines of the stage's processes, also those of stopped ECS tasks.

    Examples: `moor logs worker --follow`, `moor logs worker-reports --since 2h`.
    """
    aws, clock = connect(stage), Clock()
    every = deployed(aws)
    wanted = tuple(
        each if each == ProcessName.MIGRATE else find_process(aws, each)
        for each in named or (*every, ProcessName.MIGRATE)
    )
    sources: list[Source] = [*groups(aws, wanted, ecs_task=task, text=job)]
    start = clock.now() - since
    events: Iterable[Event]
    if is_following:
        if not job:
            sources += [EcsEvents(aws, process) for process in every if process in wanted]
        events = follow(sources, start, clock, patient=not aws.target.is_local)
    else:
        events = history(sources, start)
    is_coloured, width = shows_colours(os.environ), max(map(len, (*wanted, ProcessName.MIGRATE)))

    def show(event: Event) -> None:
        if as_json:
            print_json(as_object(event), indent=None)
        else:
            print_line(render(event, is_coloured=is_coloured, width=width))

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
