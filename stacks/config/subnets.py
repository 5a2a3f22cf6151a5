"""Where each subnet of a new VPC lies. Standard library only.

A subnet cannot move while something is in it, and the database is: so every subnet that a stage
may ever want has its place from the start, whatever egress and availability_zones are today.
"""

import ipaddress
from collections.abc import Iterator

# The groups of subnets, in the order in which the first release laid them out.
PUBLIC, PRIVATE, ISOLATED = "Public", "Private", "Isolated"
MOST_ZONES = 3
LAYOUTS = tuple(
    f"{egress}-{zones}" for egress in ("public", "nat", "endpoints") for zones in (2, MOST_ZONES)
)
WIDEST, NARROWEST = 16, 24  # of a VPC: AWS's own limit, and room for nine subnets
# AWS's limit, and that of a load balancer:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
SMALLEST = {PUBLIC: 27, PRIVATE: 28, ISOLATED: 28}
TAKEN_BY_AWS = 5  # addresses of each subnet

Subnet = tuple[str, int]  # its group and its zone, from 1


def place(vpc_cidr: str, layout: str) -> dict[Subnet, ipaddress.IPv4Network]:
    """The range of every subnet of a VPC, of those too that the stage does not have today.

    `layout` is `<egress>-<availability_zones>` of the stage's first deployment. Subnets that were
    made then lie as the first release put them; those that may come later take what is free.
    """
    network = ipaddress.IPv4Network(vpc_cidr)
    egress, _, zones = layout.partition("-")
    prefixes = _prefixes(network.prefixlen, egress)
    groups = [PUBLIC, ISOLATED] if egress == "public" else [PUBLIC, PRIVATE, ISOLATED]
    first = [(group, zone) for group in groups for zone in range(1, int(zones) + 1)]
    placed = _fill(network, first, {}, prefixes)
    assert placed is not None, (vpc_cidr, layout)
    later = [subnet for subnet in _every() if subnet not in placed]
    while True:  # what comes later may be smaller, so that all of it fits
        if (found := _fill(network, later, placed, prefixes)) is not None:
            return found
        prefixes = {group: min(size + 1, SMALLEST[group]) for group, size in prefixes.items()}


def _prefixes(vpc: int, egress: str) -> dict[str, int]:
    # The first release knew no other sizes, and took a /22 for public subnets alone.
    if vpc <= 21 or (vpc == 22 and egress == "public"):
        return {PUBLIC: 24, PRIVATE: 24, ISOLATED: 26}
    return {PUBLIC: vpc + 3, PRIVATE: vpc + 3, ISOLATED: vpc + 4}


def _every() -> Iterator[Subnet]:
    for group in (PUBLIC, PRIVATE, ISOLATED):
        for zone in range(1, MOST_ZONES + 1):
            yield group, zone


def _fill(
    network: ipaddress.IPv4Network,
    wanted: list[Subnet],
    placed: dict[Subnet, ipaddress.IPv4Network],
    prefixes: dict[str, int],
) -> dict[Subnet, ipaddress.IPv4Network] | None:
    """`placed` and each of `wanted` in the first free place; None where one does not fit."""
    found = dict(placed)
    for subnet in wanted:
        blocks = network.subnets(new_prefix=prefixes[subnet[0]])
        free = (
            block for block in blocks if not any(block.overlaps(each) for each in found.values())
        )
        if (block := next(free, None)) is None:
            return None
        found[subnet] = block
    return found
