"""The keys of stages.toml that a live stage cannot change: why, and what to do instead."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scripts.preflight.changes import SUBNET, Change, Kind
from scripts.preflight.references import Template
from stacks.config.subnets import LAYOUTS, place

ANOTHER_STAGE = (
    "This makes a second stage, and the first one runs and costs on. Deploy the second, move the "
    "data (a snapshot of the database, a copy of the bucket), point the callers to it, and destroy "
    "the first."
)


@dataclass(frozen=True)
class Kept:
    """A change that is refused on a live stage, and the keys of stages.toml that cause it."""

    keys: tuple[str, ...]
    reason: str
    way: str
    shows: Callable[[Change], bool]  # is this change caused by these keys?


def _replaced(type: str, *properties: str) -> Callable[[Change], bool]:
    """Is a resource of that type replaced because of one of these properties?"""
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
        "The names of the stacks, and all names that people type, contain it.",
        ANOTHER_STAGE,
        _replaced("AWS::RDS::DBCluster", "DBClusterIdentifier"),
    ),
    Kept(
        ("region", "account"),
        "No resource of AWS can move to another region or account.",
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
        "The database and the load balancer use the third zone, and perhaps only that one now.",
        "Keep availability_zones = 3.",
        _third_zone,
    ),
    Kept(
        ("use_launch_type",),
        "CloudFormation may replace an ECS service that changes from a launch type to capacity "
        'providers, and then fails with "already exists", because the name is taken.',
        "Nothing is lost: it rolls the update back. Set use_launch_type = true for the stage.",
        _replaced("AWS::ECS::Service", "LaunchType"),
    ),
    Kept(
        ("certificate_arn", "domain_name"),
        "A port of a load balancer can have one listener. In a stage with HTTPS from a release "
        "before 0.2, the listener of port 80 is another resource than now.",
        "Delete that listener once, right before the deployment: `aws elbv2 delete-listener "
        "--listener-arn …` (`aws elbv2 describe-listeners --load-balancer-arn …` lists them). "
        "HTTPS works all the time; http:// is not redirected until the deployment has ended.",
        lambda change: (
            change.kind is Kind.COLLIDES and change.type == "AWS::ElasticLoadBalancingV2::Listener"
        ),
    ),
)


def kept(changes: list[Change]) -> list[Kept]:
    """The rows whose keys cause these changes, in the order of the table."""
    return [row for row in KEPT if any(row.shows(change) for change in changes)]


def layout_of(network: Template) -> str | None:
    """The subnet_layout of a live network template, or None where the VPC is not ours. Where
    several layouts give these subnets the same ranges, it is the first."""
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
