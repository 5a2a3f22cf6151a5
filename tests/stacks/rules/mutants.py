"""Templates with one thing wrong: each property deleted, turned or replaced, one at a time."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.stacks.templates import Templates

# Not mutated, because nothing depends on them but what people read, ...
WORDS = {
    "Tags", "Description", "GroupDescription", "AlarmDescription", "DisplayName", "Label",
    "DashboardBody", "DBSubnetGroupDescription", "PolicyName", "Sid",
}  # fmt: skip
# or because the mutant means the same, ...
SAME = {
    ("AWS::CloudWatch::Alarm", "ReturnData", "deleted"),
    ("AWS::CloudWatch::Alarm", "Id", "replaced"),  # of the expression, which nobody names
    ("AWS::Events::Rule", "Id", "replaced"),
    ("AWS::IAM::ManagedPolicy", "Path", "replaced"),
    ("AWS::EC2::Subnet", "MapPublicIpOnLaunch", "deleted"),
    ("AWS::ECS::Service", "LoadBalancers", "deleted"),  # of the worker: an empty list
    ("AWS::ECS::ClusterCapacityProviderAssociations", "DefaultCapacityProviderStrategy", "deleted"),
    ("AWS::IAM::ManagedPolicy", "Path", "deleted"),
    ("AWS::RDS::DBInstance", "DeletionPolicy", "deleted"),  # the data is the cluster's
    ("AWS::RDS::DBInstance", "UpdateReplacePolicy", "deleted"),
    ("Custom::VpcRestrictDefaultSG", "Account", "deleted"),  # CDK's, to run again elsewhere
    ("Custom::VpcRestrictDefaultSG", "Account", "replaced"),
    ("Custom::VpcRestrictDefaultSG", "DeletionPolicy", "deleted"),
    ("Custom::VpcRestrictDefaultSG", "UpdateReplacePolicy", "deleted"),
}
# ... or because CDK, not we, decides about them: the code of its own custom resources, and the
# plumbing of a VPC, where a mistake is no weakness but a deployment that fails.
PLUMBING = {
    "AWS::Lambda::Function", "AWS::CDK::Metadata", "AWS::EC2::RouteTable", "AWS::EC2::EIP",
    "AWS::EC2::SubnetRouteTableAssociation", "AWS::EC2::InternetGateway",
    "AWS::EC2::VPCGatewayAttachment", "AWS::CloudWatch::Dashboard",
}  # fmt: skip
# Whose order is ours; CDK sees to that of the others.
ORDERED = {"ApiService", "WorkerService", "WorkerScalingCount", "DatabaseCluster"}
REPLACEMENT = "mutant"


@dataclass(frozen=True)
class Mutant:
    """One change of one resource."""

    stack: str
    id: str
    path: tuple[str | int, ...]
    change: str

    def __str__(self) -> str:
        return f"{self.stack}/{self.id} {'.'.join(map(str, self.path))}: {self.change}"

    def resource(self, templates: Templates) -> Templates:
        """The changed resource alone, or nothing where it is deleted."""
        resources = templates.stacks[self.stack]["Resources"]
        alone = {id: body for id, body in resources.items() if id == self.id}
        return Templates(templates.stage, {self.stack: {"Resources": alone}}, templates.folder)

    def of(self, templates: Templates) -> Templates:
        """The templates with this change; everything else is shared."""
        template = dict(templates.stacks[self.stack])
        template["Resources"] = dict(template["Resources"])
        if not self.path:
            del template["Resources"][self.id]
        else:
            body = template["Resources"][self.id] = copy.deepcopy(template["Resources"][self.id])
            _apply(body, self.path, self.change)
        return Templates(
            templates.stage, templates.stacks | {self.stack: template}, templates.folder
        )


def mutants(templates: Templates) -> Iterator[Mutant]:
    """Every mutant of every resource that is ours to decide about."""
    for each in templates:
        if each.type in PLUMBING:
            continue
        yield Mutant(each.stack, each.id, (), "deleted")
        changes = [
            ((key,), "deleted")
            for key in ("DeletionPolicy", "UpdateReplacePolicy", "DependsOn")
            if key in each.body and (key != "DependsOn" or each.id[:-8] in ORDERED)
        ]
        for path, change in [*changes, *_changes(each.properties, ("Properties",))]:
            if (each.type, path[-1], change) not in SAME:
                yield Mutant(each.stack, each.id, path, change)


def _changes(
    value: Any, path: tuple[str | int, ...]
) -> Iterator[tuple[tuple[str | int, ...], str]]:
    if len(path) > 1:
        yield path, "deleted"
    if isinstance(value, dict):
        if len(value) == 1 and next(iter(value)).startswith(("Fn::", "Ref")):
            yield path, "replaced"
            return
        for key, inner in value.items():
            if key not in WORDS:
                yield from _changes(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _changes(inner, (*path, index))
    elif isinstance(value, bool) or value in ("true", "false"):
        yield path, "turned"
    elif isinstance(value, int | float):
        yield path, "much more"
        yield path, "much less"
    else:
        yield path, "replaced"


def _apply(body: dict[str, Any], path: tuple[str | int, ...], change: str) -> None:
    *way, last = path
    holder: Any = body
    for step in way:
        holder = holder[step]
    old = holder[last]
    if change == "deleted":
        del holder[last]
    elif change == "turned":
        holder[last] = {True: False, False: True, "true": "false", "false": "true"}[old]
    elif change == "replaced":
        holder[last] = REPLACEMENT
    else:
        holder[last] = old * 1000 + 1000 if change == "much more" else -1
