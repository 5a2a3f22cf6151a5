"""`python -m scripts.twin.cloud PORT`: the imitation alone, as a server, until it is ended."""

import signal
import sys

from scripts.twin.cloud.server import Cloud

if __name__ == "__main__":
    cloud = Cloud(int(sys.argv[1]))
    cloud.start()
    signal.sigwait({signal.SIGINT, signal.SIGTERM})
