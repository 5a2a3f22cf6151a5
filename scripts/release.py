"""The release of Moorage in this checkout."""

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def release() -> str:
    """The version in pyproject.toml, such as 0.2.0."""
    version: str = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["version"]
    return version
