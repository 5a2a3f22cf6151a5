"""`make clean`: delete the local data. Standard library only, so that it works without .venv."""

import os
import shutil
import sys
from pathlib import Path

from scripts.errors import OperatorError
from scripts.host.file_lock import FileLock
from scripts.host.postgres import Postgres
from scripts.terminal.render import Screen
from scripts.twin.client.launch import end

# Not an argument: the folder is removed with everything in it.
HOME = Path(__file__).parents[2] / ".moorage"


def clean(home: Path, screen: Screen) -> None:
    """End the twin and remove `home`. Raises `OperatorError` while something else uses it."""
    if home.is_symlink():
        home.unlink()
        screen.say(f"Removed the link {home}; the folder that it points to is unchanged")
        return
    if not home.exists():
        screen.say(f"Nothing to remove: there is no {home}")
        return
    if end(home, screen.say):
        screen.say("The local twin is down")
    lock = FileLock(home / "up.lock")
    try:
        if not lock.take() or not Postgres(home).stop():
            raise OperatorError(
                f"{home} is in use by `moor up`, `make db`, `make api` or `make worker`",
                "Stop that first: Ctrl-C in its terminal.",
            )
        shutil.rmtree(home)
    finally:
        lock.release()
    screen.say(f"Removed {home}: the database and everything else of the local stage")


def main() -> int:
    """Clean this checkout; returns the exit status."""
    screen = Screen(os.environ)
    try:
        clean(HOME, screen)
    except OperatorError as error:
        screen.fail(error)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
