"""The files of this project: what a clone or an archive has, and nothing that was made here."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

from scripts.project import distribution

ROOT = Path(__file__).parent.parent
IS_KIT = (ROOT / "dev/kit.mk").is_file()  # and not a project that `moor new` has made


def files() -> Iterator[Path]:
    """Their paths in the project."""
    yield from distribution.files(ROOT)


def copy(target: Path, *, has: Callable[[Path], bool] = lambda _: True) -> None:
    """A copy of the files that it `has`, and of what Python has compiled of them."""
    copied = [file for file in files() if has(file)]
    for parent in {file.parent for file in copied}:
        (target / parent).mkdir(parents=True, exist_ok=True)
        if (compiled := ROOT / parent / "__pycache__").is_dir():
            half_written = shutil.ignore_patterns("*.pyc.*")
            shutil.copytree(compiled, target / parent / "__pycache__", ignore=half_written)
    for file in copied:
        shutil.copy2(ROOT / file, target / file)  # with its time: what is compiled stays valid
