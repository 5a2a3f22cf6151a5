"""`moor ci`: a pipeline that checks every push and deploys the stages."""

import difflib
import re
from pathlib import Path
from typing import Annotated

import typer

from scripts.delivery import github, gitlab
from scripts.delivery.plan import deployments
from scripts.errors import RefusedError
from scripts.terminal.answer import print_line, say
from stacks.config.pipeline import BRANCH, DEFAULT_BRANCH
from stacks.config.stages_file import STAGES_FILE

app = typer.Typer(
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
    help="""
Write a pipeline that checks every push, and deploys the stages one after the other.

A protected stage (is_protected in stages.toml) waits for an approval. The pipeline holds no
password: docs/delivery.md has the role that it assumes, and the rest of the set-up.

Examples: `moor ci github`, `moor ci gitlab --stages staging,prod --print`.
""",
)


def branch_name(value: str) -> str:
    """An option that is a branch. Raises `typer.BadParameter` for another word."""
    if not re.fullmatch(BRANCH, value):
        raise typer.BadParameter(f"{value!r} is not the name of a branch")
    return value


Stages = Annotated[
    str,
    typer.Option(
        help="Which stages, in the order of their deployment: dev,prod. "
        "By default all of stages.toml in its order."
    ),
]
Branch = Annotated[str, typer.Option(callback=branch_name, help="What is deployed.")]
Print = Annotated[bool, typer.Option("--print", help="Print the file and write none.")]
Force = Annotated[bool, typer.Option("--force", help="Overwrite a file that differs.")]
ByHand = Annotated[
    bool,
    typer.Option(
        "--by-hand",
        help='Somebody deploys the protected stages with "Run workflow". For private '
        "repositories where GitHub offers no required reviewers.",
    ),
]


@app.command("github")
def write_github(
    stages: Stages = "",
    branch: Branch = DEFAULT_BRANCH,
    by_hand: ByHand = False,
    prints: Print = False,
    force: Force = False,
) -> None:
    """Write .github/workflows/delivery.yml, for GitHub Actions."""
    plan = deployments(_words(stages))
    text = github.workflow(plan, branch=branch, by_hand=by_hand)
    _answer(github.FILE, text, prints=prints, force=force)


@app.command("gitlab")
def write_gitlab(
    stages: Stages = "",
    branch: Branch = DEFAULT_BRANCH,
    prints: Print = False,
    force: Force = False,
) -> None:
    """Write .gitlab-ci.yml, for GitLab CI/CD."""
    text = gitlab.workflow(deployments(_words(stages)), branch=branch)
    _answer(gitlab.FILE, text, prints=prints, force=force)


def _words(stages: str) -> list[str]:
    return [each.strip() for each in stages.split(",") if each.strip()]


def _answer(name: str, text: str, *, prints: bool, force: bool) -> None:
    if prints:
        for line in text.splitlines():
            print_line(line)
        return
    if write(STAGES_FILE.parent / name, text, force=force):
        say(f"Wrote {name}. What is to be set up once: docs/delivery.md")
    else:
        say(f"{name} is up to date.")


def write(file: Path, text: str, *, force: bool) -> bool:
    """Write the file; False if it already was so.

    Raises `RefusedError`, after a diff, for another file of that name, unless `force`.
    """
    found = file.read_text("utf-8") if file.exists() else None
    if found == text:
        return False
    if found is not None and not force:
        before, after = f"{file.name} as it is", "as it would be written"
        lines = (found.splitlines(), text.splitlines())
        for line in difflib.unified_diff(*lines, before, after, lineterm=""):
            print_line(line)
        raise RefusedError(
            f"{file.name} is there already and differs", "--force overwrites it with what + shows."
        )
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, "utf-8")
    return True
