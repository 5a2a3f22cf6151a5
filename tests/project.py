"""The files of this project: what a clone or an archive has, and nothing that was made here."""

from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

# As .gitignore, read without git: an archive has none.
MADE = tuple(
    line.rstrip("/")
    for line in (ROOT / ".gitignore").read_text().splitlines()
    if line and not line.startswith("#")
)


def files(folder: Path = ROOT) -> Iterator[Path]:
    """Their paths in the project."""
    for each in sorted(folder.iterdir()):
        if each.name == ".git" or any(each.match(pattern) for pattern in MADE):
            continue
        if each.is_dir() and not each.is_symlink():
            yield from files(each)
        elif each.is_file():
            yield each.relative_to(ROOT)
