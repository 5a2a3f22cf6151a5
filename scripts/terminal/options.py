"""The options that every command has, and the question before production."""

import difflib
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from scripts.errors import OperatorError, RefusedError
from scripts.target import Target, find_stage
from scripts.terminal.answer import say
from scripts.terminal.duration import parse_duration
from service.contract import LOCAL_STAGE, ProcessName
from stacks.config.stages_file import stage_names
from stacks.config.values import ConfigError

# The processes that every stage runs as ECS services.
SERVICES = (ProcessName.API, ProcessName.WORKER)


def stages() -> tuple[str, ...]:
    """The stages of stages.toml. Raises `OperatorError` where the file cannot be read."""
    try:
        return stage_names()
    except ConfigError as error:
        raise OperatorError(str(error), "Correct stages.toml.") from None


def known_stage(value: str) -> str:
    """An option that names a stage. Raises `typer.BadParameter` for another word."""
    if value not in (known := stages()):
        raise typer.BadParameter(f"{value!r} is not one of {', '.join(known)}")
    return value


StageOption = Annotated[
    str,
    typer.Option(
        "--stage",
        "-s",
        help="Which stage: a table of stages.toml, or local.",
        metavar="STAGE",
        callback=known_stage,
        autocompletion=stages,
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON instead of a table.")]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do it in a protected stage too.")]
TaskOption = Annotated[
    str, typer.Option("--task", metavar="ID", help="Which ECS task; the beginning of its id.")
]
HomeOption = Annotated[Path, typer.Option("--home", hidden=True)]  # of another checkout's data
DEFAULT_STAGE = LOCAL_STAGE


def confirm(target: Target, action: str, yes: bool) -> None:
    """Ask before a protected stage is changed. Raises `RefusedError` unless it may be."""
    if yes or not target.stage.is_protected:
        return
    if sys.stdin.isatty() and sys.stderr.isatty():
        say(f"{target} is protected. This will {action}.")
        if typer.confirm("Go on?", err=True):
            return
    raise RefusedError(f"{target} is protected, and this would {action}", "--yes does it.")


def duration_value(value: str) -> timedelta:
    """An option that is a duration. Raises `typer.BadParameter` for another word."""
    try:
        return parse_duration(value)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def time_value(value: str) -> datetime:
    """An option that is a time, or how long ago it was. Raises `typer.BadParameter` for another."""
    try:
        return datetime.now(UTC) - parse_duration(value)
    except (ValueError, OverflowError):
        pass
    try:
        time = datetime.fromisoformat(value)
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise typer.BadParameter(
            f"{value!r} is neither how long ago, as 90s, 15m, 2h or 1d, nor a time, as "
            "2026-11-28T10:00Z (UTC where no zone is given)"
        ) from None


def processes() -> tuple[str, ...]:
    """What may be an ECS service: API, workers, and each pool that a stage of stages.toml has."""
    names = {each.name: None for stage in stages() for each in find_stage(stage).processes}
    return tuple({str(name): None for name in SERVICES} | names)


def process_name(value: str) -> str:
    """An argument that names an ECS service; `known` then asks the stage for a pool's. Raises
    `typer.BadParameter` for a word that is none in any stage."""
    if value in SERVICES or value.startswith(f"{ProcessName.WORKER}-"):
        return str(value)
    names = processes()
    near = difflib.get_close_matches(value, names, n=1)
    raise typer.BadParameter(
        f"{value!r} is not one of {', '.join(names)}"
        + (f"; did you mean {near[0]}?" if near else "")
    )


PROCESS_METAVAR = "api|worker|worker-POOL"
ProcessArgument = Annotated[
    str,
    typer.Argument(
        parser=process_name,
        metavar=PROCESS_METAVAR,
        help="Which ECS service.",
        autocompletion=processes,
    ),
]
