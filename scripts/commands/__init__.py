"""The table of all `moor` commands, in the order of the help.

A command's module is loaded when the command is run; `moor --help` and the shell's completion read
only this table, so they stay fast. `moor COMMAND --help` shows the docstring of the function.
"""

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

# Name: (module:attribute, what it does). The attribute is a function or a Typer of subcommands.
COMMANDS = {
    "new": ("new:new", "Make a project of your own."),
    "domain": ("domain:app", "Make or remove a domain of your project."),
    "upgrade": ("upgrade:upgrade", "Take the next release of Moorage."),
    "up": ("up:up", "Start the local stage, or deploy the current code to it."),
    "dev": ("dev:dev", "Start the local stage, and reload the code when it is saved."),
    "down": ("down:down", "End the local stage's processes; its data stays."),
    "status": ("status:status", "Show the state of a stage on one screen."),
    "scale": ("scale:scale", "Change the number of ECS tasks of API or workers."),
    "restart": ("restart:restart", "Replace the ECS tasks of API and workers; same release."),
    "deployments": ("deployments:deployments", "List the releases of a stage."),
    "rollback": ("rollback:rollback", "Go back to an earlier release."),
    "sleep": ("sleep:sleep", "Stop API and workers, to pay little until `wake`."),
    "wake": ("sleep:wake", "Start API and workers again, as before `sleep`."),
    "logs": ("logs:logs", "Show or follow the logs of API, workers and migrations."),
    "exec": ("exec:app", "Open a shell, or run a command, in a running ECS task."),
    "run": ("run:run", "Run a command in a new ECS task."),
    "debug": ("debug:debug", "Open a shell in a copy of the worker that takes no jobs."),
    "psql": ("psql:psql", "Run SQL on the stage's database."),
    "tunnel": ("tunnel:open_tunnel", "Open the stage's database on a port of this machine."),
    "new-password": (
        "new_password:new_password",
        "Change the database password of API and worker.",
    ),
    "queues": ("queues:app", "Show the backlog of each queue; pause and resume one."),
    "workers": ("workers:app", "Show the live workers and what they run; drain one."),
    "jobs": ("jobs:app", "Enqueue, list, show, cancel, retry and clear jobs."),
    "bulk": ("bulk:app", "Retry, cancel, delete or move many jobs at once; undo it."),
    "schedules": ("schedules:app", "List, create, disable and run recurring jobs."),
    "keys": ("keys:app", "Change the API key without a refused request."),
    "secrets": ("secrets:app", "Set, list and compare the secrets of a stage; show none."),
    "tasks": ("jobs:tasks", "List the tasks that can be enqueued, and their schedules."),
    "doctor": ("doctor:doctor", "Show what is wrong with a stage, and how to mend it."),
    "permissions": (
        "permissions:permissions",
        "Show which rights the local stage uses and lacks.",
    ),
    "preflight": (
        "preflight:preflight",
        "Show what would stop a deploy, before you wait for it.",
    ),
    "leftovers": (
        "leftovers:leftovers",
        "Show what a deleted stage has left behind.",
    ),
    "config": ("config:config", "Show the settings of a stage and where they are set."),
    "adopt": ("adopt:app", "Write a stages.toml from a workspace of AWS Copilot."),
    "ci": ("ci:app", "Write a pipeline that deploys the stages."),
    "cost": ("cost:cost", "Show what a stage costs in a month."),
    "console": ("console:app", "Say who may sign in to the console with a password."),
    "open": ("open:open_", "Open the API, or the stage's pages at AWS, in the browser."),
}


class Commands(TyperGroup):
    """The commands of the table; the options of each are loaded when it is run."""

    def __init__(self, **given: Any) -> None:
        super().__init__(**given)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The name, the command, and the command's own arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(name) if name in COMMANDS else command, rest


def load(name: str) -> Any:
    """The command with its options."""
    module, _, attribute = COMMANDS[name][0].partition(":")
    found = getattr(import_module(f"{__name__}.{module}"), attribute)
    if isinstance(found, typer.Typer):
        return get_command(found)
    # The same settings as those of `moor` itself.
    alone = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)
    alone.command(name)(found)
    return get_command(alone)
