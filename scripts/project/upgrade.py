"""Takes the next release: merged and checked in a folder of its own, and only then in the project.

Until every check has passed, no file, branch or index of the project changes. Whatever goes wrong,
it is as it was before.
"""

import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from scripts.errors import OperatorError, RefusedError
from scripts.project.changelog import order, sections
from scripts.project.git import Git
from scripts.project.locks import add_locks, has_own_dependencies, take_locks
from scripts.project.merge import Merged, merge
from scripts.project.release_commit import (
    KeepUnchanged,
    ReleaseCommit,
    commit_release,
    files_of,
    last_release,
)
from scripts.project.source import Release
from scripts.release import read_release
from scripts.terminal.render import Screen

CHECKS = (("make", "check"), ("make", "test"), ("make", "synth"))
SETUP = ("make", "setup", "cdk")
RELOCK = ("make", "lock")
WORK, LOG = ".moorage/upgrade", ".moorage/upgrade.log"  # not in git
SHOWN_LINES = 30  # of a check that has failed
NOT_FOR_CHECKS = ("MAKE", "MFLAGS", "GIT_", "VIRTUAL_ENV")  # of another make or repository


class Upgrade:
    """An upgrade of the project in `git`'s folder."""

    def __init__(
        self,
        git: Git,
        screen: Screen,
        env: Mapping[str, str],
        checks: Sequence[Sequence[str]] = CHECKS,
    ) -> None:
        self._git, self._screen, self._checks = git, screen, checks
        self._env = {
            name: value for name, value in env.items() if not name.startswith(NOT_FOR_CHECKS)
        }
        self._work = Git(git.folder / WORK)
        self._log = git.folder / LOG

    def run(self, release: Release, before: ReleaseCommit, *, keep: bool, dry_run: bool) -> None:
        """Take `release`. Raises `RefusedError` on a conflict, and `OperatorError` on a red check.

        With `keep` the merge is then in the project's files, to be solved by hand; with `dry_run`
        nothing is checked and nothing stays.
        """
        git = self._git
        head = git.run("rev-parse", "HEAD")
        commit = commit_release(
            git, release.folder, release=release.name, source=release.address, before=before.id,
            keep=KeepUnchanged(files_of(git, before.id), files_of(git, head)),
        )  # fmt: skip
        with self._worktree(head):
            merged = merge(self._work, commit)
            self._show(release, before, merged, commit)
            if merged.conflicts:
                if keep and not dry_run:
                    self._merge_by_hand(commit, head)
                raise _in_conflict(merged, release, keep=keep, dry_run=dry_run)
            if dry_run:
                self._screen.say("Nothing was changed, and nothing was checked: --dry-run.")
                return
            self._screen.say(
                f"Checked in {WORK}, which takes some minutes. Ctrl-C changes nothing."
            )
            failed = self._take_locks(commit, head)
            self._work.run("add", "--all")
            message = f"Take Moorage {release.name}"
            self._work.run("commit", "--quiet", "--no-verify", "-m", message, **git.author())
            failed = failed or next(
                (check for check in self._checks if not self._passes(check)), None
            )
            if failed:
                if keep:
                    self._merge_by_hand(commit, head)
                raise _in_red(failed, self._log, release, keep=keep)
            self._take(self._work.run("rev-parse", "HEAD"))
        self._screen.title(f"This project is at Moorage {release.name}.")
        if not self._run(SETUP, git.folder):
            self._screen.say(f"`make setup` did not go through; {self._log} says why.")

    @contextmanager
    def _worktree(self, head: str) -> Iterator[None]:
        """A second folder for the project's files, for the time of the block."""
        self._remove_worktree()  # what a killed upgrade has left
        self._work.folder.parent.mkdir(exist_ok=True)
        self._git.run("worktree", "add", "--quiet", "--detach", str(self._work.folder), head)
        try:
            yield
        finally:
            self._remove_worktree()

    def _remove_worktree(self) -> None:
        if self._work.folder.exists():
            shutil.rmtree(self._work.folder)
        self._git.run("worktree", "prune")

    def _take_locks(self, commit: str, head: str) -> Sequence[str] | None:
        """Let the locks follow; the command that could not do it."""
        pyproject = (self._work.folder / "pyproject.toml").read_text("utf-8")
        has_own = has_own_dependencies(pyproject, self._git.run("show", f"{commit}:pyproject.toml"))
        take_locks(self._work, commit, before=head if has_own else None)
        if has_own and not self._passes(RELOCK):
            return RELOCK
        return None

    def _passes(self, command: Sequence[str]) -> bool:
        began = time.monotonic()
        is_done = self._run(command, self._work.folder)
        result = "passed" if is_done else "failed"
        self._screen.step(f"{' '.join(command)}: {result}", time.monotonic() - began)
        if not is_done:
            for line in self._log.read_text("utf-8", "replace").splitlines()[-SHOWN_LINES:]:
                self._screen.say(f"    {line}")
        return is_done

    def _run(self, command: Sequence[str], folder: Path) -> bool:
        with self._log.open("wb") as log:
            done = subprocess.run(
                command, cwd=folder, env=self._env, stdout=log, stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        return done.returncode == 0

    def _take(self, merged: str) -> None:
        """Bring the checked merge into the project: its branch moves on, and the files follow."""
        done = self._git.attempt("merge", "--quiet", "--ff-only", merged)
        if done.returncode != 0:
            raise RefusedError(
                f"the project has changed during the checks: {done.stderr.strip()}",
                "Commit what you have begun and run `moor upgrade` again.",
            )

    def _merge_by_hand(self, commit: str, head: str) -> None:
        """The same merge in the project's own files, not committed, with the locks as they are."""
        merge(self._git, commit)
        if self._work.run("rev-parse", "HEAD") == head:  # nothing was locked: there are conflicts
            take_locks(self._git, commit, before=head)
        else:
            add_locks(self._git, self._work.folder)

    def _show(self, release: Release, before: ReleaseCommit, merged: Merged, commit: str) -> None:
        """Say what the release changes, what to know first."""
        screen = self._screen
        changed = self._git.names("diff", "--name-only", "-z", before.id, commit)
        screen.title(f"Moorage {before.release} to {release.name}: {len(changed)} files")
        text = (release.folder / "CHANGELOG.md").read_text("utf-8")
        found = sections(text, after=before.release, last=release.name)
        for heading, part in (("Upgrading", "upgrading"), ("What else is new", "rest")):
            for section in found:
                if body := getattr(section, part):
                    screen.say()
                    screen.title(f"{heading} ({section.release})")
                    for line in body.splitlines():
                        screen.say(line)
        screen.say()
        for path in merged.deleted:
            screen.say(f"{path} is changed by the release, and stays deleted here")


def preconditions(git: Git, wanted: Release) -> ReleaseCommit | None:
    """The release that the project has; None where it is the one that is wanted.

    Raises `RefusedError` where the project cannot be upgraded to it.
    """
    before = last_release(git)
    own = read_release(git.folder)
    if order(wanted.name) < order(own):
        raise RefusedError(f"this project is at {own}; {wanted.name} is older")
    if before.release == own == wanted.name:
        return None
    if before.release != own != wanted.name:
        raise RefusedError(
            f"this project says that it is at {own}, and its history has only {before.release}: "
            "the merge of that upgrade was squashed or rebased, and git cannot see it",
            f"`moor upgrade {own}` mends that; it changes no file. Then go on to {wanted.name}.",
        )
    return before


def check_clean(git: Git) -> None:
    """Raises `RefusedError` where something is not committed, and where this is no repository."""
    top = git.attempt("rev-parse", "--show-toplevel")
    if top.returncode != 0 or Path(top.stdout.strip()).resolve() != git.folder.resolve():
        raise RefusedError(
            f"{git.folder} is no git repository, and an upgrade is a merge",
            "`moor new` makes a project with its history.",
        )
    if changed := git.run("status", "--porcelain").splitlines():
        listed = "\n".join(changed[:10] + (["…"] if len(changed) > 10 else []))
        raise RefusedError(
            f"not everything is committed:\n{listed}",
            "Commit it, or put it aside with `git stash --include-untracked`.",
        )


def _in_conflict(merged: Merged, release: Release, *, keep: bool, dry_run: bool) -> RefusedError:
    listed = "\n".join(merged.conflicts)
    message = f"you and Moorage {release.name} have changed the same lines of:\n{listed}"
    if dry_run:
        return RefusedError(message, "Nothing was changed: --dry-run.")
    if keep:
        return RefusedError(
            message,
            "The merge is in your files: mend these, `git add` them, run `make lock`, `make check`,"
            " `make test` and `make synth`, then `git commit`. `git merge --abort` goes back.",
        )
    return RefusedError(
        message,
        "Nothing was changed. These files are Moorage's: move what you need to a place of yours "
        "(docs/your-project.md) and take the rest back, or mend it here: `moor upgrade --keep`.",
    )


def _in_red(command: Sequence[str], log: Path, release: Release, *, keep: bool) -> OperatorError:
    return OperatorError(
        f"`{' '.join(command)}` fails with Moorage {release.name}; its output is in {log}",
        "The merge is in your files: mend what is wrong, then `git add` and `git commit`. "
        "`git merge --abort` goes back."
        if keep
        else "Nothing was changed. Does it pass without the upgrade? What has to be changed is "
        "under Upgrading above; `moor upgrade --keep` leaves the merge in your files, to mend it.",
    )
