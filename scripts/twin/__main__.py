"""`python -m scripts.twin HOME PORT [LOCK]`: run the local twin until SIGTERM.

`moor up` starts it in the background, and `moor down` ends it. LOCK is the descriptor of
`twin.lock`, which `moor up` has taken for it, so that `moor down` always sees it.
"""

import gc
import logging
import os
import signal
import sys
from pathlib import Path
from queue import SimpleQueue

from scripts.twin.cloud import aws_models


def main(home: Path, port: int, lock: int | None = None) -> None:
    """Run until a signal."""
    gc.disable()  # moto is a million objects that stay: looking through them is half of a start
    aws_models.read_once()
    from scripts.twin.daemon import Daemon

    gc.freeze()
    gc.enable()
    os.umask(0o077)  # only this user may read the keys, the logs and the code of images
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    logging.getLogger("botocore").setLevel(logging.WARNING)
    # A SimpleQueue, because a signal handler may put into it at any moment. Not sigwait: every
    # process that the twin starts would inherit the blocked signals.
    received: SimpleQueue[int] = SimpleQueue()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: received.put(number))
    daemon = Daemon(home, port, lock)
    try:
        daemon.start()
        received.get()
    finally:
        daemon.stop()


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), *map(int, sys.argv[2:]))
