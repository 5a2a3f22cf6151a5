"""Every command of `moor`, in the order of its help; a module is loaded when its command is run.

`moor --help` and the shell's completion read this table alone, so they take no longer with each
command. A command's own docstring is what `moor COMMAND --help` shows.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

# Name, where it is (a function, or a Typer with commands of its own), and what it does.
COMMANDS = {
    "up": ("up:up", "The local stage: start it, or bring it up to date."),
    "down": ("down:down", "End the local stage's processes; its data stays."),
    "status": ("status:status", "How a stage is, on one screen."),
    "scale": ("scale:scale", "Another number of API or worker, which stays."),
    "restart": ("restart:restart", "The same release anew, without an interruption."),
    "deployments": ("deployments:deployments", "Which releases there were."),
    "rollback": ("rollback:rollback", "Back to an earlier release."),
    "sleep": ("sleep:sleep", "Nothing runs and little is paid until `wake`."),
    "wake": ("sleep:wake", "As it was before `sleep`."),
    "logs": ("logs:logs", "What API, worker and migrations write, merged and followed."),
    "exec": ("exec:app", "A shell, or one command, in a running ECS task."),
    "run": ("run:run", "One command in an ECS task of its own."),
    "debug": ("debug:debug", "A shell in a copy of the worker that takes no jobs."),
    "psql": ("psql:psql", "SQL on the stage's database."),
    "tunnel": ("tunnel:open_tunnel", "The stage's database on a port of this machine."),
    "new-password": (
        "new_password:new_password",
        "Another password for API and worker at the database.",
    ),
    "queues": ("queues:queues", "Backlog, running jobs and workers of each queue."),
    "jobs": ("jobs:app", "Enqueue, list, show, cancel, retry and clear jobs."),
    "schedules": ("schedules:app", "What comes by itself: list, create, disable, run."),
    "keys": ("keys:app", "Change the API key without a refused request."),
    "tasks": ("jobs:tasks", "What can be enqueued, and what comes by itself."),
    "doctor": ("doctor:doctor", "What is wrong with a stage, and how to mend it."),
    "preflight": (
        "preflight:preflight",
        "What would stop a deploy, before you wait for it.",
    ),
    "leftovers": (
        "leftovers:leftovers",
        "What a deleted stage has left behind, and how it goes.",
    ),
    "config": ("config:config", "What a stage is configured as, and where from."),
    "cost": ("cost:cost", "What a month of a stage costs."),
    "open": ("open:open_", "The API, or the stage's pages at AWS, in the browser."),
}


class Commands(TyperGroup):
    """The commands of the table, each without its options until it is asked for."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command that was meant, and the arguments that are left for it."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


def load(name: str) -> Any:
    """The command with its options."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return get_command(found)
    # The same settings as those of the whole.
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return get_command(alone)
