"""The release of Moorage that this checkout is."""

import tomllib
from pathlib import Path

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def release() -> str:
    """As pyproject.toml has it: 0.2.0."""
    version: str = tomllib.loads(PYPROJECT.read_text("utf-8"))["project"]["version"]
    return version
