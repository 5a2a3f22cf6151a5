"""The release of Moorage in a checkout."""

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]


def release() -> str:
    """That of this one, such as 0.2.0."""
    return read_release(ROOT)


def read_release(folder: Path) -> str:
    """The version in the pyproject.toml of a folder."""
    text = (folder / "pyproject.toml").read_text("utf-8")
    version: str = tomllib.loads(text)["project"]["version"]
    return version
