"""The files of a release as a project has them: `python distribution.py MOORAGE FOLDER`.

An upgrade runs this file of the *new* release, with the interpreter of the old one, to learn what a
project has of it. Standard library only, and its two arguments stay.
"""

import os
import re
import shutil
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PARTS = "scripts/project/parts.toml"
# What a page says only to who works on Moorage stands between these two lines.
KIT_ONLY = re.compile(r"<!-- kit only -->\n.*?<!-- end of kit only -->\n", re.DOTALL)
WRITTEN = re.compile(r"<!-- (?:written by `make docs`|end) -->\n")
LINK = re.compile(r"\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


@dataclass(frozen=True)
class Parts:
    """Which files of Moorage a project gets, and where."""

    kinds: dict[str, str]  # by path or folder/: "kit", "yours" or "project"
    moved: dict[str, str]

    @classmethod
    def read(cls, kit: Path) -> "Parts":
        found = tomllib.loads((kit / PARTS).read_text("utf-8"))
        kinds = {path: kind for kind in ("kit", "yours", "project") for path in found[kind]}
        return cls(kinds, found["moved"])

    def line_of(self, file: Path) -> str | None:
        """The line that decides about a file; None where there is none."""
        path = file.as_posix()
        folders = [f"{parent.as_posix()}/" for parent in file.parents]
        return next((each for each in (path, *folders) if each in self.kinds), None)

    def has(self, file: Path) -> bool:
        """Does a project have this file of a release, there or elsewhere?"""
        line = self.line_of(file)
        return file.as_posix() in self.moved or (line is not None and self.kinds[line] == "project")

    def place(self, file: Path) -> Path:
        """Where the file is in a project."""
        return Path(self.moved.get(file.as_posix(), file))


def files(folder: Path) -> Iterator[Path]:
    """The files of a clone or an archive, as paths in it, without those that were made there."""
    yield from _files(folder, folder, _made(folder))


def _made(folder: Path) -> tuple[str, ...]:
    """What .gitignore names, read without git: an archive has none."""
    lines = (folder / ".gitignore").read_text("utf-8").splitlines()
    return tuple(line.rstrip("/") for line in lines if line and not line.startswith("#"))


def _files(folder: Path, root: Path, made: tuple[str, ...]) -> Iterator[Path]:
    for each in sorted(folder.iterdir()):
        if each.name == ".git" or any(each.match(pattern) for pattern in made):
            continue
        if each.is_dir() and not each.is_symlink():
            yield from _files(each, root, made)
        elif each.is_file():
            yield each.relative_to(root)


def write(kit: Path, folder: Path) -> None:
    """Write the files of the release in `kit` into `folder`, which is empty."""
    parts = Parts.read(kit)
    for file in files(kit):
        if not parts.has(file):
            continue
        target = folder / parts.place(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        if file.suffix == ".md":
            target.write_text(_page(kit, file, parts), "utf-8")
        else:
            shutil.copy2(kit / file, target)


def _page(kit: Path, file: Path, parts: Parts) -> str:
    """The page with links that lead somewhere in a project, and as text where they do not."""
    text = KIT_ONLY.sub("", (kit / file).read_text("utf-8"))
    home = parts.place(file).parent

    def link(found: re.Match[str]) -> str:
        words, target, anchor = found[1], found[2], found[3] or ""
        if not target or ":" in target:
            return found[0]
        path = Path(os.path.normpath(file.parent / target))
        if (kit / path).is_file() and not parts.has(path):
            return words
        moved = os.path.relpath(parts.place(path), home)
        return f"[{words}]({Path(moved).as_posix()}{anchor})"

    return WRITTEN.sub("", LINK.sub(link, text))


if __name__ == "__main__":
    write(Path(sys.argv[1]), Path(sys.argv[2]))
