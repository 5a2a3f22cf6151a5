"""Which addresses of the network a feed may be fetched from: public ones alone."""

import asyncio
import ipaddress
import socket

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# All of IPv6 that is given out. Outside of it are former site-local addresses and those that hold
# an IPv4 address, for which `is_global` is true in part (fec0::1, ::127.0.0.1, 64:ff9b:1::a00:1).
UNICAST = ipaddress.IPv6Network("2000::/3")
TUNNEL = ipaddress.IPv6Network("2002::/16")  # leads to any IPv4 address, a private one included


def is_public(address: Address) -> bool:
    """Not this machine, the VPC, a link-local address (AWS's metadata services) or a group."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in UNICAST or address in TUNNEL:
            return False
    return address.is_global and not address.is_multicast


def is_port(number: int) -> bool:
    """One that can be connected to; httpx takes any number for a port."""
    return 0 < number < 65536


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host`, in the order to try them. Raises OSError where there is none."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # without the zone of an IPv6 address (`fe80::1%eth0`)
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
