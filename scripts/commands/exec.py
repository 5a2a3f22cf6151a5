"""`moor exec`: a shell or a command in a running container."""

import shlex
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from scripts.aws import connect
from scripts.clock import Clock
from scripts.errors import OperatorError, UsageError
from scripts.processes import WORKER, find_process
from scripts.session.plugin import SHELL, find_plugin, hand_over, open_session, run_command
from scripts.session.session_task import find_container
from scripts.terminal.answer import say, write
from scripts.terminal.options import (
    DEFAULT_STAGE,
    PROCESS_METAVAR,
    SERVICES,
    StageOption,
    TaskOption,
    YesOption,
    confirm,
    processes,
)

BEFORE_COMMAND = "--"

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


class WithDashes(TyperCommand):
    """Keeps the first `--` of the arguments: the process is before it, the command after it."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if BEFORE_COMMAND in args:
            at = args.index(BEFORE_COMMAND)
            args = [*args[:at], BEFORE_COMMAND, *args[at:]]  # the parser removes one
        return super().parse_args(ctx, args)


@app.command("exec", cls=WithDashes)
def exec_(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar=f"[{PROCESS_METAVAR}] [-- COMMAND...]",
            help="A shell, if no command is given.",
        ),
    ] = None,
    *,
    task: TaskOption = "",
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> int:
    """A shell or a command in a running ECS task; the exit code is the command's own.

    Without a process, the ECS task is one of the default worker pool. The command's standard error
    is part of its output, and its standard input is this terminal, or empty.
    """
    process, command = split(words or [])
    aws = connect(stage)
    if not command and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise OperatorError("a shell needs a terminal", "Give a command after `--`.")
    find_process(aws, process)
    confirm(aws.target, f"run {shlex.join(command or [SHELL])} in a running ECS task", yes)
    find_plugin(is_local=aws.target.is_local)  # fail on a missing plugin before any call to AWS
    container = find_container(aws, process, task, Clock())
    if command:
        return run_command(aws, container, command, write)
    say(f"{SHELL} in container {container.name} of ECS task {container.ecs_task}")
    return hand_over(open_session(aws, container, SHELL))


def split(words: list[str]) -> tuple[str, list[str]]:
    """Split `worker -- python -V` into process and command. The `--` may be left out. The process
    may be left out too, and is then the worker.

    Raises `UsageError` where the word before the `--` is no process.
    """
    if not words or words[0] == BEFORE_COMMAND:
        return WORKER, words[1:]
    command = list(words)
    if BEFORE_COMMAND in words:
        command.remove(BEFORE_COMMAND)
    if words[0] in SERVICES or words[0].startswith(f"{WORKER}-"):
        return words[0], command[1:]
    if BEFORE_COMMAND in words:
        raise UsageError(
            f"{words[0]!r} is not one of {', '.join(processes())}",
            "Before `--` is the process, after it the command.",
        )
    return WORKER, command
