"""`moor upgrade`: take the next release of Moorage."""

import os
from typing import Annotated

import typer

from scripts.project.git import Git
from scripts.project.release_commit import last_release
from scripts.project.source import release_of
from scripts.project.upgrade import Upgrade, check_clean, preconditions
from scripts.release import ROOT
from scripts.terminal.render import Screen

VersionArgument = Annotated[
    str,
    typer.Argument(metavar="[VERSION]", help="Such as 0.3.0; else the newest.", show_default=False),
]
FromOption = Annotated[
    str,
    typer.Option(
        "--from",
        metavar="PLACE",
        help="A folder or repository with the release; else where this one came from.",
    ),
]
KeepOption = Annotated[
    bool,
    typer.Option("--keep", help="On a conflict or a red check, leave the merge to be mended."),
]
DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Say what would happen.")]


def upgrade(
    version: VersionArgument = "",
    place: FromOption = "",
    keep: KeepOption = False,
    dry_run: DryRunOption = False,
) -> None:
    """Merge the next release of Moorage, if nothing conflicts and every check passes.

    Examples: `moor upgrade --dry-run`, `moor upgrade 0.3.0`, `moor upgrade --from ../moorage`.
    It runs `make check`, `make test` and `make synth` on the merge in a folder of its own, and
    changes the project only when they pass. Everything has to be committed before.
    """
    git, screen = Git(ROOT), Screen(os.environ)
    check_clean(git)
    recorded = last_release(git).source
    with release_of(place or None, version or None, recorded) as release:
        before = preconditions(git, release)
        if before is None:
            screen.say(f"This project is at Moorage {release.name} already.")
            return
        Upgrade(git, screen, os.environ).run(release, before, keep=keep, dry_run=dry_run)
