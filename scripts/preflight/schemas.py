"""What AWS's resource schemas, which cfn-lint ships, say about a change to a live resource.

https://docs.aws.amazon.com/cloudformation-cli/latest/userguide/resource-type-schema.html
"""

import functools
import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

# Properties that must be unique together. No schema says so: AWS refuses the second at run time.
UNIQUE: dict[str, tuple[str, ...]] = {
    "AWS::EC2::NatGateway": ("AllocationId",),
    "AWS::EC2::Route": ("RouteTableId", "DestinationCidrBlock"),
    "AWS::EC2::SubnetRouteTableAssociation": ("SubnetId",),
    "AWS::EC2::VPCEndpoint": ("VpcId", "ServiceName"),  # by the private name in the VPC
    "AWS::ElasticLoadBalancingV2::Listener": ("LoadBalancerArn", "Port"),
    "AWS::ElasticLoadBalancingV2::ListenerRule": ("ListenerArn", "Priority"),
    "AWS::WAFv2::WebACLAssociation": ("ResourceArn",),
}
# A rule of a security group is refused when the group has the same already.
RULES_OF_GROUPS = ("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress")


@dataclass(frozen=True)
class Rules:
    """Property paths, as tuples of names; `*` stands for each item of a list."""

    create_only: tuple[tuple[str, ...], ...]  # a change replaces the resource
    conditional: tuple[tuple[str, ...], ...]  # a change may replace it; the schema does not say
    unique: tuple[tuple[str, ...], ...]  # sets of properties that no two resources may share
    is_deleted_first: bool  # a replacement deletes the old one before it creates the new one
    holds_data: bool


@functools.cache
def rules(type: str, region: str) -> Rules:
    """The rules of one resource type. A type without a schema is never replaced."""
    schema = _schema(type, region)
    create_only = _paths(schema.get("createOnlyProperties", []))
    return Rules(
        create_only,
        _paths(schema.get("conditionalCreateOnlyProperties", [])),
        tuple(_unique(type, schema, create_only)),
        schema.get("replacementStrategy") == "delete_then_create",
        type in _stateful(),
    )


def _schema(type: str, region: str) -> dict[str, Any]:
    # Imported here, because it takes two seconds.
    from cfnlint.schema import ResourceNotFoundError
    from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER

    try:
        found = PROVIDER_SCHEMA_MANAGER.get_resource_schema(region, type)
    except ResourceNotFoundError:
        return {}
    return dict(found.schema)


def _paths(pointers: list[str]) -> tuple[tuple[str, ...], ...]:
    return tuple(tuple(each.removeprefix("/properties/").split("/")) for each in pointers)


def _unique(
    type: str, schema: dict[str, Any], create_only: tuple[tuple[str, ...], ...]
) -> list[tuple[str, ...]]:
    """The sets of properties that must be unique: the template's names, and those of `UNIQUE`."""
    if type in RULES_OF_GROUPS:
        return [tuple(path[0] for path in create_only)]
    found = [UNIQUE[type]] if type in UNIQUE else []
    read_only = set(schema.get("readOnlyProperties", []))
    primary = schema.get("primaryIdentifier", [])
    if primary and not read_only & set(primary):
        found.append(tuple(path[0] for path in _paths(primary)))
    else:
        # AWS makes the identifier from a name that the template may give, such as `ServiceName`.
        found += [path for path in create_only if path[0] == "Name" or path[0] == _name_of(type)]
    return found


def _name_of(type: str) -> str:
    """`ServiceName` of `AWS::ECS::Service`."""
    return f"{type.rpartition('::')[2]}Name"


@functools.cache
def _stateful() -> frozenset[str]:
    """cfn-lint's list, as its rule I3011 reads it."""
    file = resources.files("cfnlint.data.AdditionalSpecs") / "StatefulResources.json"
    return frozenset(json.loads(file.read_text("utf-8"))["ResourceTypes"])
