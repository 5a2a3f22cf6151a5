"""The locks of a project: those of the release, and with them the project's own dependencies."""

import re
import tomllib
from pathlib import Path

from scripts.project.git import Git

IMAGE = "requirements.lock"
LOCKS = (IMAGE, "requirements-telemetry.lock", "requirements-dev.lock")
# The lines of pyproject.toml that are the project's.
YOURS = re.compile(r"^ *# yours[^\n]*\n(.*?)^ *# end of yours *$", re.MULTILINE | re.DOTALL)
PACKAGE = re.compile(r"^([A-Za-z0-9._-]+)==", re.MULTILINE)
BEGINNING = re.compile(r"^(?=[A-Za-z0-9._-]+==)", re.MULTILINE)


def has_own_dependencies(pyproject: str, release: str) -> bool:
    """Does a project name any in its pyproject.toml that the release does not?"""
    return not _declared(pyproject) <= _declared(release)


def _declared(pyproject: str) -> set[tuple[str, str]]:
    """Each dependency with where it is declared, in the image or in the group dev.

    A project may want in the image what the release has for its tests alone.
    """
    found = tomllib.loads(pyproject)
    image = {("image", each) for each in found["project"]["dependencies"]}
    dev = found["dependency-groups"]["dev"]
    return image | {("dev", each) for each in dev if isinstance(each, str)}


def take_locks(git: Git, release: str, *, before: str | None) -> None:
    """Write the locks of a release, and what the project had locked beside them in `before`.

    uv reads the versions in a lock before it writes it anew: neither those of the release change,
    nor those of the project.
    """
    for lock in LOCKS:
        text = git.run("show", f"{release}:{lock}") + "\n"
        if before:
            own = lock if git.has(before, lock) else IMAGE  # one that is new in this release
            text = with_others(text, git.run("show", f"{before}:{own}") + "\n")
        (git.folder / lock).write_text(text, "utf-8")
        git.run("add", "--", lock)


def with_others(lock: str, before: str) -> str:
    """A lock, and the packages that only the one before has."""
    names = set(PACKAGE.findall(lock))
    others = [
        block
        for block in BEGINNING.split(before)
        if (found := PACKAGE.match(block)) and found[1] not in names
    ]
    return lock + "".join(others)


def add_locks(git: Git, folder: Path) -> None:
    """Stage the locks that are in another folder."""
    for lock in LOCKS:
        (git.folder / lock).write_bytes((folder / lock).read_bytes())
        git.run("add", "--", lock)
