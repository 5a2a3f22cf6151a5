"""Which addresses of the network a feed may be fetched from: public ones alone."""

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IPv6 that a translator or tunnel may turn into any IPv4 address, a private one included.
TRANSLATED = tuple(ipaddress.IPv6Network(net) for net in ("64:ff9b::/96", "2002::/16"))


def is_public(address: Address) -> bool:
    """Not this machine, the VPC, a link-local address (AWS's metadata services) or a group."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if any(address in net for net in TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host`, in the order to try them. Raises OSError where there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # without the zone of an IPv6 address (`fe80::1%eth0`)
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
