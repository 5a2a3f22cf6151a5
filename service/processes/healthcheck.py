"""`python -m service healthcheck`: is this container's worker alive? Standard library only.

It runs every few seconds on a quarter of a CPU, so it only reads the age of one file.
"""

import time
from pathlib import Path

from service.contract import HEARTBEAT_MAX_AGE_SECONDS


def beat(path: str) -> None:
    """Write the heartbeat: the worker is alive now."""
    Path(path).touch()


def check(path: str) -> str | None:
    """None while the worker is alive, else what is wrong."""
    try:
        age = time.time() - Path(path).stat().st_mtime
    except OSError as error:
        return f"no heartbeat: {path}: {error.strerror}"
    if age > HEARTBEAT_MAX_AGE_SECONDS:
        return f"the last heartbeat is {age:.0f} s old, the limit is {HEARTBEAT_MAX_AGE_SECONDS} s"
    return None
