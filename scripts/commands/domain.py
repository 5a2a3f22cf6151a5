"""`moor domain`: make a domain of the project, or remove one."""

import sys
from typing import Annotated

import typer

from scripts.errors import RefusedError
from scripts.project import domains
from scripts.release import ROOT
from scripts.terminal.answer import print_line, say

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Make a domain of your project, or remove one: `moor domain new invoices`.",
)

NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="Such as invoices.")]


def known_names() -> list[str]:
    """For the shell's completion."""
    return domains.names(ROOT)


@app.command("new")
def new(
    name: NameArgument,
    settings: Annotated[
        bool, typer.Option("--settings", help="With typed settings, read from variables.")
    ] = False,
    resource: Annotated[
        bool, typer.Option("--resource", help="With a file for resources and rights on AWS.")
    ] = False,
) -> None:
    """Make a domain that works: a route, a task, a table and a test, to be changed.

    Example: `moor domain new invoices --settings`.
    """
    for path in domains.create(ROOT, name, has_settings=settings, has_resource=resource):
        print_line(path)
    say(f"Its test: `make test ARGS=tests/domain/{name}`. `make up` runs it.")


@app.command("remove")
def remove(
    name: Annotated[
        str, typer.Argument(metavar="NAME", autocompletion=known_names, help="Such as feeds.")
    ],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Without a question.")] = False,
) -> None:
    """Delete the files of a domain, after a question, and say what stays.

    Example: `moor domain remove feeds`.
    """
    domain = domains.find(ROOT, name)
    domains.check_unused(domain)
    places = ", ".join(domain.shown(place) for place in domain.places)
    lines = domains.left_behind(domain)
    if not yes:
        if not (sys.stdin.isatty() and sys.stderr.isatty()):
            raise RefusedError(f"this would delete {places}", "--yes does it.")
        say(f"This deletes {places}")
        if not typer.confirm("Go on?", err=True):
            raise RefusedError("nothing was deleted")
    domains.remove(domain)
    print_line(f"Deleted {places}")
    for line in lines:
        print_line(line)
