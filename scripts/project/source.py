"""Where the next release of Moorage comes from: a folder, or a tag of a repository."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.errors import NotFoundError, OperatorError, UsageError
from scripts.project.changelog import order
from scripts.project.git import Git
from scripts.project.new_project import CREDENTIALS, address_of
from scripts.release import read_release


@dataclass(frozen=True)
class Release:
    """The files of a release, and the address of the repository that they are from."""

    folder: Path
    name: str
    address: str | None


@contextmanager
def release_of(place: str | None, wanted: str | None, recorded: str | None) -> Iterator[Release]:
    """The release `wanted`, or the newest, for the time of the block.

    `place` is a folder with the files of a release, or the address of a repository whose tags are
    its releases; without it, the repository that is `recorded` with the release before.
    """
    if wanted is not None:
        wanted = wanted.removeprefix("v")
        try:
            order(wanted)
        except ValueError as error:
            raise UsageError(str(error)) from None
    if place and Path(place).is_dir():
        folder = Path(place).absolute()
        if not (folder / "pyproject.toml").is_file():
            raise UsageError(f"{place} holds no release of Moorage: it has no pyproject.toml")
        if wanted in {None, read_release(folder)}:
            yield Release(folder, read_release(folder), address_of(folder) or recorded)
            return
    address = place or recorded
    if address is None:
        raise UsageError(
            "nothing says where the releases of Moorage are",
            "Name a clone of it or its address: `moor upgrade --from ../moorage`.",
        )
    public = CREDENTIALS.sub("", address) if "://" in address else recorded
    with TemporaryDirectory(prefix="moorage-release-") as scratch:
        git = Git(Path(scratch))
        name = wanted or _newest(git, address)
        folder = Path(scratch) / "moorage"
        done = git.attempt(
            "-c", "advice.detachedHead=false", "clone", "--quiet", "--depth=1",
            f"--branch=v{name}", "--", _as_url(address), str(folder),
        )  # fmt: skip
        if done.returncode != 0:
            raise NotFoundError(
                f"{address} has no release {name}: {done.stderr.strip()}",
                f"Its releases are the tags such as v{name}: `git ls-remote --tags`.",
            )
        yield Release(folder, name, public)


def _as_url(address: str) -> str:
    """A folder as an address, so that git copies no more of it than is asked for."""
    return Path(address).absolute().as_uri() if Path(address).is_dir() else address


def _newest(git: Git, address: str) -> str:
    """The newest release among the tags of a repository."""
    try:
        lines = git.run("ls-remote", "--tags", "--refs", "--", _as_url(address)).splitlines()
    except OperatorError as error:
        raise OperatorError(str(error), "Is the address right, and may you read it?") from None
    found = []
    for line in lines:
        name = line.rpartition("refs/tags/")[2]
        try:
            found.append((order(name.removeprefix("v")), name.removeprefix("v")))
        except ValueError:
            continue  # a tag that is no release
    if not found:
        raise NotFoundError(
            f"{address} has no tag such as v0.3.0, so no release",
            "A clone whose files are a release can be named without one: `--from FOLDER`.",
        )
    return max(found)[1]
