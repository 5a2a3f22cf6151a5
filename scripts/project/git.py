"""Runs git in one folder."""

import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.errors import OperatorError

# Variables that name another repository; a caller that is a hook of git has them.
# https://git-scm.com/docs/git-rev-parse, --local-env-vars
OF_ANOTHER = {
    "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_CONFIG", "GIT_CONFIG_PARAMETERS", "GIT_CONFIG_COUNT",
    "GIT_OBJECT_DIRECTORY", "GIT_DIR", "GIT_WORK_TREE", "GIT_IMPLICIT_WORK_TREE", "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE", "GIT_NO_REPLACE_OBJECTS", "GIT_REPLACE_REF_BASE", "GIT_PREFIX",
    "GIT_SHALLOW_FILE", "GIT_COMMON_DIR", "GIT_INTERNAL_SUPER_PREFIX", "GIT_NAMESPACE",
}  # fmt: skip


@dataclass(frozen=True)
class Git:
    """A repository, by the folder of its files."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)  # variables of every call

    def run(self, *arguments: str, given: str | None = None, **variables: str) -> str:
        """What git prints, without the last line's end. Raises `OperatorError` where git fails."""
        done = self.attempt(*arguments, given=given, **variables)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise OperatorError(f"git {arguments[0]} failed in {self.folder}: {said}")
        return done.stdout.rstrip("\n")

    def attempt(
        self, *arguments: str, given: str | None = None, **variables: str
    ) -> "subprocess.CompletedProcess[str]":
        """The same for a call that may fail. Raises `OperatorError` where there is no git."""
        if shutil.which("git") is None:
            raise OperatorError("no `git` is on PATH", "Install it, version 2.30 or newer.")
        own = {name: value for name, value in os.environ.items() if name not in OF_ANOTHER}
        return subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env={**own, "LC_ALL": "C", **self.settings, **variables},
            input=given,
            text=True,
            errors="surrogateescape",
            capture_output=True,
            check=False,
        )

    def names(self, *arguments: str) -> list[str]:
        """The paths that a call with `-z` prints."""
        return [name for name in self.run(*arguments).split("\0") if name]

    def author(self) -> dict[str, str]:
        """Variables that name an author where git knows none: a new machine, a container."""
        if self.attempt("var", "GIT_AUTHOR_IDENT").returncode == 0:
            return {}
        return named("Moorage", "moor@localhost")

    def has(self, commit: str, path: str) -> bool:
        """Is there such a file in a commit?"""
        return self.attempt("cat-file", "-e", f"{commit}:{path}").returncode == 0


def named(name: str, email: str) -> dict[str, str]:
    """Variables that make this the author of a commit."""
    people: Iterable[str] = ("AUTHOR", "COMMITTER")
    return {
        f"GIT_{person}_{part}": value
        for person in people
        for part, value in (("NAME", name), ("EMAIL", email))
    }
