"""`moor console`: who may sign in to the stage's console with a name and a password."""

from typing import Annotated, Any

import typer

from scripts.api import Api
from scripts.aws import connect
from scripts.terminal.answer import print_json, print_line, print_table, say
from scripts.terminal.options import (
    DEFAULT_STAGE,
    JsonOption,
    StageOption,
    YesOption,
    confirm,
)

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

NameArgument = Annotated[str, typer.Argument(help="Letters, digits and . _ @ + -")]


@app.command(name="list")
def list_people(stage: StageOption = DEFAULT_STAGE, as_json: JsonOption = False) -> None:
    """Who may sign in with a password of their own. Example: `moor console list --stage prod`."""
    found: list[dict[str, Any]] = Api(connect(stage)).get("console", "people")["items"]
    if as_json:
        print_json(found)
        return
    print_table(
        ["name", "may", "since"],
        [
            [each["name"], "act" if each["may_act"] else "look", each["created_at"][:19]]
            for each in found
        ],
    )


@app.command()
def add(
    name: NameArgument,
    act: Annotated[bool, typer.Option("--act", help="They may also act, not only look.")] = False,
    stage: StageOption = DEFAULT_STAGE,
    yes: YesOption = False,
) -> None:
    """Let somebody sign in, and print their password, once. Example: `moor console add ada --act`.

    Without `--act` they may only look.
    """
    aws = connect(stage)
    confirm(aws.target, f"let {name} sign in to its console", yes)
    made = Api(aws).post("console", "people", name=name, may_act=act)
    say(f"{name} may {'act' if act else 'look'}; the password, which is shown this once:")
    print_line(made["password"])


@app.command()
def remove(name: NameArgument, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Let somebody sign in no longer, and end their sessions.

    Example: `moor console remove ada`.
    """
    aws = connect(stage)
    confirm(aws.target, f"let {name} sign in to its console no longer", yes)
    Api(aws).delete("console", "people", name)
    say(f"{name} can no longer sign in.")
