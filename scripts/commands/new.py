"""`moor new`: make a project of one's own."""

import os
import time
from pathlib import Path
from typing import Annotated

import typer

from scripts.project.new_project import create, examples
from scripts.release import ROOT, release
from scripts.terminal.render import Screen

AppOption = Annotated[
    str,
    typer.Option("--app", metavar="NAME", help="The app's name; else that of the folder."),
]
WithoutOption = Annotated[
    str,
    typer.Option("--without", metavar="NAMES", help="Examples to leave out, such as feeds,search."),
]


def new(
    folder: Annotated[Path, typer.Argument(help="Where: a folder that does not exist yet.")],
    app: AppOption = "",
    without: WithoutOption = "",
) -> None:
    """Make a project of this release: a git repository with your files and Moorage's.

    Example: `moor new ../shop --app shop --without feeds,search`. `--without all` leaves out every
    example. What a project holds, and how it takes the next release: docs/your-project.md.
    """
    screen, began = Screen(os.environ), time.monotonic()
    folder = folder.absolute()
    left_out = [name.strip() for name in without.split(",") if name.strip()]
    if left_out == ["all"]:
        left_out = examples(ROOT)
    create(ROOT, Path(os.path.normpath(folder)), app=app or folder.resolve().name, without=left_out)
    screen.step(f"Made {folder.name} of Moorage {release()}", time.monotonic() - began)
    for line in (
        f"  cd {os.path.relpath(folder)}",
        "  make up                                # all of it on this machine",
        "  .venv/bin/moor domain new invoices     # a domain of your own",
        "  make test",
    ):
        screen.say(line)
