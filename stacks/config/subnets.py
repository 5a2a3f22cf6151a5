"""The address range of each subnet of a new VPC. Standard library only.

A subnet cannot change its range while something is in it, and the database always is. So every
subnet that a stage may ever need has its range from the start, for any egress and
availability_zones.
"""

import ipaddress
from collections.abc import Iterator

# The groups of subnets, in the order of their ranges in the first release.
PUBLIC, PRIVATE, ISOLATED = "Public", "Private", "Isolated"
MOST_ZONES = 3
LAYOUTS = tuple(
    f"{egress}-{zones}" for egress in ("public", "nat", "endpoints") for zones in (2, MOST_ZONES)
)
WIDEST, NARROWEST = 16, 24  # prefix of a VPC: AWS's limit, and room for nine subnets
# The longest prefixes: AWS's limit, and in a public subnet that of a load balancer:
# https://docs.aws.amazon.com/elasticloadbalancing/latest/application/application-load-balancers.html
SMALLEST = {PUBLIC: 27, PRIVATE: 28, ISOLATED: 28}
TAKEN_BY_AWS = 5  # addresses of each subnet

Subnet = tuple[str, int]  # the group, and the number of the zone from 1


def place(vpc_cidr: str, layout: str) -> dict[Subnet, ipaddress.IPv4Network]:
    """The range of every subnet that the VPC may have, also of those that do not exist yet.

    `layout` is `<egress>-<availability_zones>` of the stage's first deployment. The subnets of that
    deployment have the ranges that the first release gave them; later ones get free ranges.
    """
    network = ipaddress.IPv4Network(vpc_cidr)
    egress, _, zones = layout.partition("-")
    prefixes = _prefixes(network.prefixlen, egress)
    groups = [PUBLIC, ISOLATED] if egress == "public" else [PUBLIC, PRIVATE, ISOLATED]
    first = [(group, zone) for group in groups for zone in range(1, int(zones) + 1)]
    placed = _fill(network, first, {}, prefixes)
    assert placed is not None, (vpc_cidr, layout)
    later = [subnet for subnet in _every() if subnet not in placed]
    while True:  # later subnets may be smaller, so that all of them fit
        if (found := _fill(network, later, placed, prefixes)) is not None:
            return found
        prefixes = {group: min(size + 1, SMALLEST[group]) for group, size in prefixes.items()}


def _prefixes(vpc: int, egress: str) -> dict[str, int]:
    # The sizes of the first release, which allowed a /22 only with egress "public".
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
    """`placed`, with each of `wanted` in the first free range; None where one does not fit."""
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
