"""What a live stage keeps, whatever its configuration says later: why, and what to do instead."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.preflight.changes import SUBNET, Change, Kind
from scripts.preflight.references import Template
from stacks.config.subnets import LAYOUTS, place

ANOTHER_STAGE = (
    "It makes a second stage beside the first, which goes on and costs on. Deploy that one, move "
    "the data (a snapshot of the database, a copy of the bucket), point the callers there, and "
    "destroy the first."
)


@dataclass(frozen=True)
class Kept:
    """A change that is refused on a live stage, by the keys of stages.toml that ask for it."""

    keys: tuple[str, ...]
    reason: str
    way: str
    shows: Callable[[Change], bool]  # in what `changes` found


def _replaced(type: str, *properties: str) -> Callable[[Change], bool]:
    """A resource of that type whose first differing property is one of these."""
    return lambda change: (
        change.kind in (Kind.REPLACED, Kind.MAY_BE_REPLACED)
        and change.type == type
        and bool(set(properties) & set(change.properties))
    )


def _third_zone(change: Change) -> bool:
    return change.kind is Kind.EXPORT_IN_USE and bool(re.search(r"Subnet3Subnet", change.id))


KEPT = (
    Kept(
        ("app_name",),
        "Every name that people type is made of it, and the stacks' own.",
        ANOTHER_STAGE,
        _replaced("AWS::RDS::DBCluster", "DBClusterIdentifier"),
    ),
    Kept(
        ("region", "account"),
        "Nothing of AWS moves between regions or accounts; the stage there is another one.",
        ANOTHER_STAGE,
        lambda change: False,  # two stages: their templates are never compared
    ),
    Kept(
        ("vpc_cidr",),
        "The range of a VPC cannot change, and everything is in it.",
        f"Keep it. For another range take another app_name. {ANOTHER_STAGE}",
        _replaced("AWS::EC2::VPC", "CidrBlock"),
    ),
    Kept(
        ("vpc_id", "isolated_subnet_ids"),
        "A database cannot leave its VPC, nor the subnets that it is in.",
        f"Keep them. For another VPC take another app_name. {ANOTHER_STAGE}",
        lambda change: (
            change.kind is Kind.SHRINKS or _replaced("AWS::EC2::SecurityGroup", "VpcId")(change)
        ),
    ),
    Kept(
        ("subnet_layout", "egress", "availability_zones"),
        "The database is in its subnets, and a subnet cannot move.",
        "Set subnet_layout to what egress and availability_zones were in the first deployment.",
        lambda change: _replaced(SUBNET, "CidrBlock")(change) and "VpcId" not in change.properties,
    ),
    Kept(
        ("availability_zones",),
        "The database and the balancer are in the third zone, and may be nowhere else.",
        "Keep availability_zones = 3.",
        _third_zone,
    ),
    Kept(
        ("use_launch_type",),
        "CloudFormation may replace an ECS service when it goes from a launch type to a strategy "
        'of capacity providers, and then stops at the taken name with "already exists".',
        "Nothing is lost then: it takes the update back. Set use_launch_type = true for the stage.",
        _replaced("AWS::ECS::Service", "LaunchType"),
    ),
    Kept(
        ("certificate_arn", "domain_name"),
        "A port of a balancer has one listener. In releases before 0.2 the one at port 80 of a "
        "stage with HTTPS is another resource than the one of now.",
        "Delete it right before the deployment, once: `aws elbv2 delete-listener --listener-arn …` "
        "with that of port 80 (`aws elbv2 describe-listeners --load-balancer-arn …`). HTTPS goes "
        "on all the time; http:// is not redirected until the deployment has ended.",
        lambda change: (
            change.kind is Kind.COLLIDES and change.type == "AWS::ElasticLoadBalancingV2::Listener"
        ),
    ),
)


def kept(changes: list[Change]) -> list[Kept]:
    """The rows that these changes show, in the order of the table; each once."""
    return [row for row in KEPT if any(row.shows(change) for change in changes)]


def layout_of(network: Template) -> str | None:
    """The subnet_layout by which the subnets of a live network template lie; None for no VPC of
    ours. Of several the first: they put those subnets in the same places.
    """
    resources = network.get("Resources", {})
    found: dict[tuple[str, int], str] = {}
    vpc = next((each for each in resources.values() if each["Type"] == "AWS::EC2::VPC"), None)
    for id, body in resources.items():
        if body["Type"] == SUBNET and (named := re.search(r"Vpc(\w+?)Subnet(\d)Subnet", id)):
            found[named[1], int(named[2])] = body["Properties"]["CidrBlock"]
    if vpc is None or not found:
        return None
    for layout in LAYOUTS:
        places: Mapping[tuple[str, int], object] = place(vpc["Properties"]["CidrBlock"], layout)
        if all(str(places.get(subnet)) == block for subnet, block in found.items()):
            return layout
    return None
