"""Finds what CloudFormation would replace or refuse between two releases of a stage's templates.

Pure: templates in, findings out. It follows AWS's schemas and how CloudFormation updates: stack
after stack, it creates new resources before it deletes old ones, and it cannot change an export
that another stack uses.
"""

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from scripts.preflight.references import Reference, Template, Text, Values, references
from scripts.preflight.schemas import RULES_OF_GROUPS, Rules, rules

SUBNET = "AWS::EC2::Subnet"
# https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBSubnetGroup.html
GROWS_ONLY = {"AWS::RDS::DBSubnetGroup": ("SubnetIds",)}
LOG_GROUP = "AWS::Logs::LogGroup"
ANOTHER = "(another)"  # marks a reference to a resource that will be replaced or new


class Kind(StrEnum):
    """What happens to a resource of the live stage."""

    REPLACED = "replaced"
    MAY_BE_REPLACED = "may be replaced"
    COLLIDES = "collides"
    REMOVED = "removed"
    EXPORT_IN_USE = "export in use"
    SHRINKS = "shrinks"


@dataclass(frozen=True)
class Change:
    """One change that is not a plain update. With `is_refused` the deployment must not begin."""

    kind: Kind
    stack: str  # the key under which its template was given
    id: str  # the logical id; of an export its name
    type: str
    is_refused: bool
    properties: tuple[str, ...] = ()  # those that differ, or that must be unique
    other: str = ""  # stack/id of the resource that it collides with, or that uses the export

    def __str__(self) -> str:
        what = f"{self.stack}/{self.id} ({self.type})"
        by = ", ".join(self.properties)
        match self.kind:
            case Kind.REPLACED:
                said = f"{what} would be replaced, because of {by}"
                return f"{said}; what it holds is not moved" if self.is_refused else said
            case Kind.MAY_BE_REPLACED:
                return f"{what} may be replaced, because of {by}: AWS's schema does not say"
            case Kind.COLLIDES:
                return f"{what} would be created while {self.other} still has the same {by}"
            case Kind.REMOVED:
                return f"{what} would be deleted, with what it holds"
            case Kind.EXPORT_IN_USE:
                return f"{what} would change or be deleted while {self.other} uses it"
            case Kind.SHRINKS:
                return f"{what} would lose {self.other} of {by}, which may be in use"


def changes(
    before: Mapping[str, Template],
    after: Mapping[str, Template],
    *,
    region: str = "us-east-1",
    account: str = "",
) -> list[Change]:
    """Everything but plain updates between the templates of a live stage and those to deploy.

    Both map a stack to its template, under the same keys. `region` and `account` are those where
    the stage lives.
    """
    pseudo = {"AWS::Region": region} | ({"AWS::AccountId": account} if account else {})
    return _Comparison(Values(before, pseudo), Values(after, pseudo), region).found()


class _Comparison:
    def __init__(self, old: Values, new: Values, region: str) -> None:
        self.old, self.new, self.region = old, new, region
        self.certain: dict[tuple[str, str], tuple[str, ...]] = {}
        self.possible: dict[tuple[str, str], tuple[str, ...]] = {}

    def found(self) -> list[Change]:
        self._find_replaced()
        return [
            *self._replaced(),
            *self._collisions(),
            *self._removed(),
            *self._exports(),
            *self._shrinking(),
        ]

    def _rules(self, type: str) -> Rules:
        return rules(type, self.region)

    def _find_replaced(self) -> None:
        """Repeat until nothing is added: a reference to a replaced resource changes with it."""
        while True:
            count = len(self.certain), len(self.possible)
            for stack, id, body in _resources(self.new):
                key = (stack, id)
                if key in self.certain or (was := _resource(self.old, key)) is None:
                    continue
                if was["Type"] != body["Type"]:
                    self.certain[key] = ("Type",)
                    continue
                rule = self._rules(body["Type"])
                differs = self._differing(stack, was, body, rule.create_only, self.certain)
                if differs:
                    self.certain[key] = differs
                    self.possible.pop(key, None)
                    continue
                differs = self._differing(
                    stack, was, body, rule.conditional, self.certain
                ) or self._differing(stack, was, body, rule.create_only, self.possible)
                if differs:
                    self.possible[key] = differs
            if count == (len(self.certain), len(self.possible)):
                return

    def _differing(
        self,
        stack: str,
        was: Template,
        body: Template,
        paths: tuple[tuple[str, ...], ...],
        replaced: Mapping[tuple[str, str], object],
    ) -> tuple[str, ...]:
        found = []
        for path in paths:
            then = [self.old.read(stack, each) for each in _at(was.get("Properties", {}), path)]
            now = [self.new.read(stack, each) for each in _at(body.get("Properties", {}), path)]
            if then != now or any((r.stack, r.id) in replaced for r in references(tuple(now))):
                found.append(".".join(path))
        return tuple(found)

    def _replaced(self) -> Iterator[Change]:
        for (stack, id), properties in self.certain.items():
            body = self.new.templates[stack]["Resources"][id]
            refused = properties == ("Type",) or self._holds_data(body)
            yield Change(Kind.REPLACED, stack, id, body["Type"], refused, properties)
        for (stack, id), properties in self.possible.items():
            type = self.new.templates[stack]["Resources"][id]["Type"]
            yield Change(Kind.MAY_BE_REPLACED, stack, id, type, False, properties)

    def _holds_data(self, body: Template) -> bool:
        # An instance in a cluster holds no data of its own.
        in_cluster = "DBClusterIdentifier" in body.get("Properties", {})
        is_instance = str(body["Type"]).endswith("::DBInstance")
        return self._rules(body["Type"]).holds_data and not (is_instance and in_cluster)

    def _collisions(self) -> Iterator[Change]:
        """Resources that are created while a live one has the same name, port, range or place."""
        taken = {
            key: (stack, id)
            for stack, id, body in _resources(self.old)
            for key in self._keys(self.old, stack, body)
        }
        for stack, id, body in _resources(self.new):
            own = (stack, id)
            is_new = _resource(self.old, own) is None
            if not is_new and own not in self.certain:
                continue
            for type, names, values in self._keys(self.new, stack, body):
                key = (type, names, self._renewed(values))
                holder = taken.get(key)
                if holder is None or (holder == own and self._rules(type).is_deleted_first):
                    continue
                yield Change(Kind.COLLIDES, stack, id, type, True, names, "/".join(holder))
            if body["Type"] == SUBNET:
                yield from self._overlaps(own, body)

    def _keys(
        self, values: Values, stack: str, body: Template
    ) -> Iterator[tuple[str, tuple[str, ...], tuple[Any, ...]]]:
        properties = body.get("Properties", {})
        type = body["Type"]
        for names in self._rules(type).unique:
            given = tuple(values.read(stack, properties.get(name)) for name in names)
            # AWS makes up a name that is left out, which is never taken.
            unnamed = type not in RULES_OF_GROUPS and any(
                each is None and name.endswith("Name")
                for name, each in zip(names, given, strict=True)
            )
            if not unnamed and any(each is not None for each in given):
                yield type, names, given

    def _renewed(self, value: Any) -> Any:
        """`value`, with references marked that will point to a replaced or a new resource."""
        if isinstance(value, Reference):
            is_other = (value.stack, value.id) in self.certain or _resource(
                self.old, (value.stack, value.id)
            ) is None
            return replace(value, attribute=value.attribute + ANOTHER) if is_other else value
        if isinstance(value, Text):
            return Text(self._renewed(value.parts))
        if isinstance(value, tuple):
            return tuple(self._renewed(each) for each in value)
        if isinstance(value, frozenset):
            return frozenset(self._renewed(each) for each in value)
        return value

    def _overlaps(self, own: tuple[str, str], body: Template) -> Iterator[Change]:
        vpc, block = self._place(self.new, own[0], body)
        for stack, id, was in _resources(self.old):
            if was["Type"] != SUBNET:
                continue
            old_vpc, old_block = self._place(self.old, stack, was)
            if self._renewed(vpc) == old_vpc and block.overlaps(old_block):
                names = ("VpcId", "CidrBlock")
                yield Change(Kind.COLLIDES, *own, SUBNET, True, names, f"{stack}/{id}")

    def _place(
        self, values: Values, stack: str, body: Template
    ) -> tuple[Any, ipaddress.IPv4Network]:
        properties = body["Properties"]
        block = ipaddress.IPv4Network(str(values.read(stack, properties["CidrBlock"])))
        return values.read(stack, properties["VpcId"]), block

    def _removed(self) -> Iterator[Change]:
        for stack, id, body in _resources(self.old):
            if _resource(self.new, (stack, id)) is None and self._holds_data(body):
                # A log group is removed with the process that wrote to it, as the change asks.
                refused = body["Type"] != LOG_GROUP
                yield Change(Kind.REMOVED, stack, id, body["Type"], refused)

    def _exports(self) -> Iterator[Change]:
        for name, (stack, _) in self.old.exports.items():
            users = [user for user in _users(self.old, name) if user.partition("/")[0] != stack]
            if users and self._changes(name):
                yield Change(Kind.EXPORT_IN_USE, stack, name, "Export", True, (), users[0])

    def _shrinking(self) -> Iterator[Change]:
        """Lists that the schema allows to change, but AWS refuses to shorten while in use."""
        for stack, id, body in _resources(self.new):
            was = _resource(self.old, (stack, id))
            for name in GROWS_ONLY.get(body["Type"], ()) if was else ():
                then, now = (
                    set(values.read(stack, each["Properties"].get(name, [])))
                    for values, each in ((self.old, was or {}), (self.new, body))
                )
                if lost := then - now:
                    said = ", ".join(sorted(str(each) for each in lost))
                    yield Change(Kind.SHRINKS, stack, id, body["Type"], True, (name,), said)

    def _changes(self, name: str) -> bool:
        if name not in self.new.exports:
            return True
        now = self.new.exported(name)
        return bool(now != self.old.exported(name) or now != self._renewed(now))


def _resources(values: Values) -> Iterator[tuple[str, str, Template]]:
    for stack, template in values.templates.items():
        for id, body in template.get("Resources", {}).items():
            yield stack, id, body


def _resource(values: Values, key: tuple[str, str]) -> Template | None:
    stack, id = key
    found: Template | None = values.templates.get(stack, {}).get("Resources", {}).get(id)
    return found


def _users(values: Values, name: str) -> Iterator[str]:
    """The stack/id of each resource that imports the export."""
    for stack, id, body in _resources(values):
        if _imports(body.get("Properties", {}), name):
            yield f"{stack}/{id}"


def _imports(value: Any, name: str) -> bool:
    if isinstance(value, dict):
        return value == {"Fn::ImportValue": name} or any(
            _imports(each, name) for each in value.values()
        )
    return isinstance(value, list) and any(_imports(each, name) for each in value)


def _at(value: Any, path: tuple[str, ...]) -> list[Any]:
    """The values at a path; `*` in it stands for each item of a list."""
    if not path:
        return [value]
    if path[0] == "*":
        return [found for each in value for found in _at(each, path[1:])]
    if not isinstance(value, dict) or path[0] not in value:
        return []
    return _at(value[path[0]], path[1:])
