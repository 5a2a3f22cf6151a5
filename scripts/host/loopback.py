"""Who may call a server on this machine: programs by its own names, and no page in a browser.

Every page that a browser on this machine shows can reach a port of loopback. A page's request has
an Origin or Sec-Fetch-Site header (https://www.w3.org/TR/fetch-metadata/). It has none where DNS
leads the page's own name to this machine ("rebinding"); then that name is the Host header.
"""

import errno
import os
import socket
from collections.abc import Mapping
from pathlib import Path

V4, V6 = "127.0.0.1", "::1"
NAMES = {"localhost", V4, f"[{V6}]"}
LOOKS = 3  # the kernel lists its sockets in parts: one may be left out while others come and go
OTHER_ORIGINS = {"cross-site", "same-site"}  # another port of localhost is the same site


def names_this_machine(host: str | None, port: int | None = None) -> bool:
    """Is this Host header a name of this machine alone, with `port` if that is given?"""
    name, _, number = (host or "").lower().rpartition(":")
    if not name or "]" in number:
        name, number = (host or "").lower(), ""
    if port is not None and number != str(port):
        return False
    labels = name.removesuffix(".localhost").split(".")  # a bucket's name before "localhost"
    is_below = name.endswith(".localhost") and all(labels)
    return name in NAMES or is_below


def is_of_a_page(headers: Mapping[str, str], method: str) -> bool:
    """Does a browser say that another site's page sent this? A followed link does not count."""
    site = headers.get("Sec-Fetch-Site", "")
    is_link = (
        site == "same-site" and headers.get("Sec-Fetch-Mode") == "navigate" and method == "GET"
    )
    return "Origin" in headers or method == "OPTIONS" or (site in OTHER_ORIGINS and not is_link)


def is_of_another_user(peer_port: int, port: int) -> bool:
    """Is the connection from `peer_port` of 127.0.0.1 to `port` a user's who is not this or root?

    False where the system does not say; Linux does: docs.kernel.org/networking/proc_net_tcp.html.
    Another connection may have the same end here and lead elsewhere, or have ended and still be
    listed as root's: only the one with both ends counts.
    """
    ends = [f"0100007F:{peer_port:04X}", f"0100007F:{port:04X}"]
    for _ in range(LOOKS):
        try:
            lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
        except OSError:
            return False
        owners = [int(each[7]) for each in map(str.split, lines) if each[1:3] == ends]
        if owners:
            return not {0, os.geteuid()} & {*owners}
    return True


def addresses(port: int) -> list[str]:
    """The addresses of "localhost" on this machine: IPv4, and IPv6 if it has that.

    A server listens on all of them, so that no other process gets a part of the requests. Raises
    `OSError` where `port` is taken on one of them.
    """
    found = []
    for address, family in ((V4, socket.AF_INET), (V6, socket.AF_INET6)):
        try:
            socket.create_server((address, port), family=family).close()
        except OSError as error:
            if address == V4 or error.errno == errno.EADDRINUSE:
                raise
            continue  # this machine has no IPv6
        found.append(address)
    return found


def free_port() -> int:
    """A port that is free at every address of "localhost"."""
    while True:
        with socket.create_server((V4, 0)) as server:
            port: int = server.getsockname()[1]
        try:
            addresses(port)
        except OSError:
            continue
        return port
