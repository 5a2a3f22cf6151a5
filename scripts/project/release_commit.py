"""The commits that hold the files of Moorage alone, as each release had them.

    Moorage 0.2.0 ───────────────► Moorage 0.3.0      releases, and nothing of the project
          └─► Start shop ─► … ─► … ─────┴─► …         the project; an upgrade is a merge

To git, the release before is what both sides have in common, so it sees what either has changed.
An example follows the releases as long as the project has it unchanged. Once it is changed or
deleted, it stays in these commits as it was, which is no change to a merge.
"""

import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from scripts.errors import OperatorError
from scripts.project.distribution import PARTS
from scripts.project.git import Git, named

RELEASE, SOURCE = "Moorage-Release", "Moorage-Source"
AUTHOR = ("Moorage", "releases@moorage.invalid")
NOT_IN_RELEASES = "stages.toml"  # tells such a commit from one that a squash has made of it
DISTRIBUTION = "scripts/project/distribution.py"
# Where a domain has its files: code, tests, and its one module of the stacks.
DOMAIN = re.compile(r"(?:service|tests)/domain/(\w+)/.+|stacks/domain/(?!__init__)(\w+)\.py")
MESSAGE = """Moorage {release}

The files of this release and nothing of the project. `moor upgrade` merges the next one
from here.

"""

Files = dict[str, str]  # by path: mode and id, as git lists them


@dataclass(frozen=True)
class ReleaseCommit:
    """A commit with the files of one release."""

    id: str
    release: str
    source: str | None  # the address of the repository that it came from


def domain_of(path: str) -> str | None:
    """The domain that a file belongs to."""
    found = DOMAIN.fullmatch(path)
    return found and (found[1] or found[2])


def last_release(git: Git, commit: str = "HEAD") -> ReleaseCommit:
    """The release that the history of a project has last. Raises `OperatorError` without one."""
    form = f"--format=%H %(trailers:key={RELEASE},valueonly,separator=%x2C) "
    form += f"%(trailers:key={SOURCE},valueonly,separator=%x2C)"
    lines = git.run("log", "--topo-order", commit, f"--author={AUTHOR[1]}", form).splitlines()
    for line in lines:
        id, release, source = line.split(" ", 2)
        if release and not git.has(id, NOT_IN_RELEASES):
            return ReleaseCommit(id, release, source or None)
    raise OperatorError(
        "no release of Moorage is in the history of this project",
        "`git fetch --unshallow` brings the history of a shallow clone. A project that `moor new` "
        "has not made merges Moorage's repository with `git merge`.",
    )


def commit_release(
    git: Git, kit: Path, *, release: str, source: str | None, before: str | None, keep: "Keep"
) -> str:
    """Commit the files of the release in `kit`, after the commit `before`; the commit's id.

    `keep` decides which examples are among them. No branch moves, and no file is touched.
    """
    with tempfile.TemporaryDirectory(prefix="moorage-release-") as scratch:
        files = Path(scratch) / "files"
        files.mkdir()
        distribute(kit, files)
        index = {"GIT_INDEX_FILE": str(Path(scratch) / "index")}
        git_dir = git.run("rev-parse", "--absolute-git-dir")
        plain = Git(files, {"GIT_DIR": git_dir, "GIT_WORK_TREE": str(files), **index})
        plain.run("-c", "core.autocrlf=false", "add", "--all", "--force", ".")
        listed = _listed(plain.run("ls-files", "-s", "-z"))
        _write_index(plain, keep(listed))
        tree = plain.run("write-tree")
    parents = ["-p", before] if before else []
    message = MESSAGE.format(release=release) + f"{RELEASE}: {release}\n"
    message += f"{SOURCE}: {source}\n" if source else ""
    return git.run("commit-tree", tree, *parents, given=message, **named(*AUTHOR))


class Keep:
    """Which examples a release brings to a project. This one is for a new project."""

    def __init__(self, without: Iterable[str] = ()) -> None:
        self._without = set(without)

    def __call__(self, files: Files) -> Files:
        return {path: file for path, file in files.items() if domain_of(path) not in self._without}


class KeepUnchanged(Keep):
    """For a project that has had a release: its examples follow as long as it has not changed them.

    What the release before had of all others stays as it is, which to a merge is no change.
    """

    def __init__(self, before: Files, project: Files) -> None:
        super().__init__()
        self._before, self._project = before, project

    def following(self, files: Files) -> set[str]:
        """The examples of a release that the project has as the release before had them."""
        before, own = _by_domain(self._before), _by_domain(self._project)
        return {name for name in _by_domain(files) if before.get(name) == own.get(name, {})}

    def __call__(self, files: Files) -> Files:
        following = self.following(files)
        kept = {path: file for path, file in files.items() if domain_of(path) in {None, *following}}
        still = {
            path: file
            for path, file in self._before.items()
            if domain_of(path) not in {None, *following}
        }
        return kept | still


def files_of(git: Git, commit: str) -> Files:
    """Every file of a commit."""
    found = {}
    for line in git.names("ls-tree", "-r", "-z", commit):
        about, path = line.split("\t", 1)
        mode, _, id = about.split(" ")
        found[path] = f"{mode} {id}"
    return found


def distribute(kit: Path, folder: Path) -> None:
    """Write the files of a release as a project has them, as that release itself says."""
    if not (kit / PARTS).is_file():
        raise OperatorError(f"{kit} is no release of Moorage that a project can take")
    done = subprocess.run(
        [sys.executable, "-I", str(kit / DISTRIBUTION), str(kit), str(folder)],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise OperatorError(f"the files of {kit} cannot be read: {done.stderr.strip()}")


def _by_domain(files: Files) -> dict[str, Files]:
    found: dict[str, Files] = {}
    for path, file in files.items():
        if name := domain_of(path):
            found.setdefault(name, {})[path] = file
    return found


def _listed(text: str) -> Files:
    """The lines of `git ls-files -s -z`: mode, id and stage, then the path."""
    found = {}
    for line in filter(None, text.split("\0")):
        about, path = line.split("\t", 1)
        found[path] = about.rpartition(" ")[0]
    return found


def _write_index(git: Git, files: Files) -> None:
    git.run("read-tree", "--empty")
    lines = "".join(f"{file}\t{path}\0" for path, file in files.items())
    git.run("update-index", "-z", "--index-info", given=lines)


@contextmanager
def fetched(address: str, tag: str) -> Iterator[Path]:
    """The files of a release in a repository, in a folder for the time of the block."""
    with tempfile.TemporaryDirectory(prefix="moorage-release-") as scratch:
        folder = Path(scratch) / "moorage"
        clone = ("clone", "--quiet", "--depth=1", f"--branch={tag}", "--", address, str(folder))
        Git(Path(scratch)).run("-c", "advice.detachedHead=false", *clone)
        yield folder
