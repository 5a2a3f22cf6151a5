"""`python -m scripts.twin HOME PORT [LOCK]`: the local twin, until SIGTERM.

`moor up` starts it, away from the terminal, and `moor down` ends it. LOCK is the descriptor of
`twin.lock`, taken by `moor up`: so there is no moment at which `moor down` would not see it.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

from scripts.twin.daemon import Daemon


def main(home: Path, port: int, lock: int | None = None) -> None:
    """Run until told to stop."""
    os.umask(0o077)  # what is written is this user's alone: keys, logs, the code of images
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # Simple, because a signal handler puts into it whatever its thread is doing. Not blocked
    # signals and sigwait: every process started from here would inherit the block.
    told: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: told.put(number))
    daemon = Daemon(home, port, lock)
    try:
        daemon.start()
        told.get()
    finally:
        daemon.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), *map(int, sys.argv[2:]))
