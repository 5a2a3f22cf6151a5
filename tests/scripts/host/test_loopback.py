"""Whose a connection on this machine is, while the same port has others."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest

from scripts.host.loopback import V4, is_of_another_user

STRANGER = """
import os, socket, sys
os.setuid(65534)
own, other = map(int, sys.argv[1:])
connection = socket.socket()
connection.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
connection.bind(("127.0.0.1", own))
connection.connect(("127.0.0.1", other))
print("connected", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def servers() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server((V4, 0)) as one, socket.create_server((V4, 0)) as other:
        yield one, other


def port_of(server: socket.socket) -> int:
    port: int = server.getsockname()[1]
    return port


def test_a_connection_of_this_user_is_not_another_s(
    servers: tuple[socket.socket, socket.socket],
) -> None:
    for server in servers:
        with socket.create_connection((V4, port_of(server))) as connection:
            assert not is_of_another_user(port_of(connection), port_of(server))


def test_a_connection_that_nobody_lists_is_another_s(
    servers: tuple[socket.socket, socket.socket],
) -> None:
    one, other = servers
    with socket.create_connection((V4, port_of(one))) as connection:
        assert is_of_another_user(port_of(connection), port_of(other))


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be another user")
def test_a_connection_that_has_ended_does_not_vouch_for_another_s_of_the_same_port(
    servers: tuple[socket.socket, socket.socket],
) -> None:
    """The kernel lists it as root's for a minute."""
    one, other = servers
    with socket.socket() as own:
        own.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        own.bind((V4, 0))
        own.connect((V4, port_of(one)))
        port = port_of(own)
        accepted, _ = one.accept()
    with accepted:
        assert accepted.recv(1) == b""  # this end has gone first: it is the one that stays listed

    stranger = subprocess.Popen(
        [sys.executable, "-I", "-c", STRANGER, str(port), str(port_of(other))],
        cwd="/", stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    with stranger:
        assert stranger.stdout is not None
        assert stranger.stdout.readline() == "connected\n"
        assert is_of_another_user(port, port_of(other))
        stranger.communicate(timeout=30)
