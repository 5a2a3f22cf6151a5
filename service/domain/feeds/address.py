"""The network addresses from which a feed may be fetched: only public ones."""

import asyncio
import ipaddress
import socket
from collections.abc import Set

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

# IANA's special-purpose addresses, and other addresses of clouds' metadata services. Listed here,
# because what the ipaddress module's `is_global` knows differs between versions of Python.
SPECIAL = [
    ipaddress.ip_network(each)
    for each in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # behind a carrier's NAT; Alibaba's metadata service
        "127.0.0.0/8",
        "168.63.129.16/32",  # Azure's metadata service
        "169.254.0.0/16",  # link-local; the metadata services of AWS and most others
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; Oracle's metadata service
        "192.0.2.0/24",  # documentation
        "192.88.99.0/24",  # relays of 6to4, withdrawn
        "192.168.0.0/16",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/3",  # multicast, reserved, broadcast
        "2001::/23",  # protocol assignments; Teredo, which holds an IPv4 address
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4, which leads to any IPv4 address
        "3fff::/20",  # documentation
    )
]
# All global unicast addresses. Outside of it are loopback, unique local, link-local and multicast
# addresses, and those with an IPv4 address (::127.0.0.1, ::ffff:0:10.0.0.1, 64:ff9b::10.0.0.1).
UNICAST = ipaddress.IPv6Network("2000::/3")
# The middle of the last 64 bits of an ISATAP address, before the IPv4 address that it leads to.
ISATAP = {0x00005EFE, 0x02005EFE}


def is_public(address: Address) -> bool:
    """Is it not of this machine, the VPC, link-local (AWS's metadata services) or multicast?"""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in UNICAST or (int(address) >> 32) & 0xFFFFFFFF in ISATAP:
            return False
    return not any(address in network for network in SPECIAL)


def is_port(number: int) -> bool:
    """Is it a port to connect to? httpx accepts any number."""
    return 0 < number < 65536


def unreachable(port: int, ports: Set[int] | None) -> str | None:
    """Why `port` cannot be reached where only `ports` are open to the internet, or None."""
    if ports is None or port in ports:
        return None
    if not ports:
        return 'this stage only reaches AWS, nothing else on the internet (egress = "endpoints")'
    return f"this stage only reaches the ports {', '.join(map(str, sorted(ports)))} of the internet"


async def resolve(host: str, port: int) -> list[Address]:
    """The addresses of `host`, in the order to try them. Raises `OSError` without any."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    # without the zone of an IPv6 address (`fe80::1%eth0`)
    return [ipaddress.ip_address(str(each[4][0]).partition("%")[0]) for each in found]
