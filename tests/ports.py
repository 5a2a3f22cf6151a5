"""TCP ports for the servers of tests."""

import itertools
import os
import random
import socket

# Below those that Linux (32768) and macOS (49152) give to clients and to whoever asks for any.
FIRST = 20_000
SLICE = 1_500  # for each process of a test run: none is given what another is about to listen on
SLICES = 8

_number = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % SLICES  # noqa: TID251
_first = FIRST + _number * SLICE
_ports = itertools.cycle(range(_first, _first + SLICE))
# The tests' own child processes have the same slice: each begins somewhere else in it.
for _ in range(random.randrange(SLICE)):
    next(_ports)


def free_port() -> int:
    """A port that nobody listens on now, and nobody else here is given soon."""
    for port in itertools.islice(_ports, SLICE):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise OSError("no port is free")
