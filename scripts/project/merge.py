"""Merges the commit of a release into the files of a project."""

from dataclasses import dataclass

from scripts.errors import OperatorError
from scripts.project.git import Git
from scripts.project.locks import LOCKS

# Where a release has moved a whole folder, the files that the project added to it stay.
SETTINGS = ("-c", "merge.renames=true", "-c", "merge.directoryRenames=false")
OLD, OURS, THEIRS = "1", "2", "3"  # what git calls the sides of a file in conflict


@dataclass(frozen=True)
class Merged:
    """How the merge went. It is in the files and in the index, and not committed."""

    conflicts: list[str]
    deleted: list[str]  # the project had deleted them, and the release has changed them


def merge(git: Git, release: str) -> Merged:
    """Merge, and solve what has one answer: what the project has deleted stays deleted.

    Conflicts in the locks stay: `take_locks` writes these files anew, because no line of a lock can
    be merged.
    """
    done = git.attempt(*SETTINGS, "merge", "--no-commit", "--no-ff", "--quiet", release)
    sides = _unmerged(git)
    if done.returncode != 0 and not sides:
        raise OperatorError(f"git could not merge: {(done.stderr or done.stdout).strip()}")
    deleted = sorted(path for path, found in sides.items() if found == {OLD, THEIRS})
    if deleted:
        git.run("rm", "--quiet", "--force", "--ignore-unmatch", "--", *deleted)
    conflicts = sorted(set(sides) - set(deleted) - set(LOCKS))
    return Merged(conflicts, deleted)


def _unmerged(git: Git) -> dict[str, set[str]]:
    """The sides that each file in conflict has."""
    found: dict[str, set[str]] = {}
    for line in git.names("ls-files", "--unmerged", "-z"):
        about, path = line.split("\t", 1)
        found.setdefault(path, set()).add(about.rpartition(" ")[2])
    return found
