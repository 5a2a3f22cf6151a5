"""Makes a project of a release of Moorage: a repository with the user's files and the kit's."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from string import Template

from scripts.errors import OperatorError, RefusedError, UsageError
from scripts.project.git import Git
from scripts.project.release_commit import Keep, commit_release
from scripts.release import read_release
from service.contract import LOCAL_STAGE
from stacks.config.read_stage import read_stage
from stacks.config.values import ConfigError

README = Path(__file__).with_name("templates") / "readme.txt"
BRANCH = "main"
OF_THE_KIT = "dev/kit.mk"  # no project has it
# An address that others can reach too: https://…, ssh://…, git@host:owner/name. No password in it.
ADDRESS = re.compile(r"(?:https?|ssh|git)://.+|[\w.-]+@[\w.-]+:.+")
CREDENTIALS = re.compile(r"(?<=://)[^/@]*@")


def examples(kit: Path) -> list[str]:
    """The worked examples of a release."""
    folders = (kit / "service/domain").iterdir()
    return sorted(each.name for each in folders if (each / "__init__.py").is_file())


def create(kit: Path, folder: Path, *, app: str, without: Sequence[str] = ()) -> None:
    """Make the project in `folder`: the release's files, then a first commit with its own.

    Raises `UsageError` for a wrong name, and `RefusedError` where something is in the way. A folder
    that cannot be filled is gone again.
    """
    _check(kit, folder, app, without)
    was_there = folder.is_dir()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _fill(kit, Git(folder), app, without)
    except BaseException:
        shutil.rmtree(folder)
        if was_there:
            folder.mkdir()
        raise


def _check(kit: Path, folder: Path, app: str, without: Sequence[str]) -> None:
    if not (kit / OF_THE_KIT).is_file():
        raise RefusedError(
            "this is a project already, and a project is made from Moorage itself",
            "Run `moor new` in a clone of Moorage. `moor domain new NAME` makes a domain here.",
        )
    problems = []
    if unknown := [name for name in without if name not in examples(kit)]:
        problems.append(
            f"--without {','.join(unknown)}: no such example; there are {', '.join(examples(kit))}"
        )
    try:
        read_stage(LOCAL_STAGE, {"app_name": app}, file=kit / "stages.toml")
    except ConfigError as error:
        problems.append(str(error).replace("app_name", "--app"))
    if problems:
        raise UsageError("\n".join(problems))
    if folder.is_relative_to(kit):
        raise RefusedError(f"{folder} is in Moorage's own folder", "Name a folder beside it.")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RefusedError(f"{folder} is there and not empty", "Name a folder that is not.")


def _fill(kit: Path, git: Git, app: str, without: Sequence[str]) -> None:
    git.run("init", "--quiet")
    git.run("symbolic-ref", "HEAD", f"refs/heads/{BRANCH}")
    commit = commit_release(
        git, kit, release=read_release(kit), source=address_of(kit), before=None,
        keep=Keep(without),
    )  # fmt: skip
    git.run("reset", "--quiet", "--hard", commit)
    (git.folder / "README.md").write_text(
        Template(README.read_text("utf-8")).substitute(app=app), "utf-8"
    )
    stages = (kit / "stages.toml").read_text("utf-8")
    own, found = re.subn(r'(?m)^app_name = ".*"$', f'app_name = "{app}"', stages)
    if found != 1:
        raise OperatorError("stages.toml of this release has no line app_name = …")
    (git.folder / "stages.toml").write_text(own, "utf-8")
    git.run("add", "README.md", "stages.toml")
    git.run("commit", "--quiet", "--no-verify", "-m", f"Start {app}", **git.author())


def address_of(kit: Path) -> str | None:
    """Where a clone of Moorage is from, for upgrades; None where only this machine knows it."""
    if not (kit / ".git").exists():
        return None
    found = Git(kit).attempt("remote", "get-url", "origin").stdout.strip()
    return CREDENTIALS.sub("", found) if ADDRESS.fullmatch(found) else None
