"""What roles were granted in the local twin, and what they have asked for."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from scripts.doctor.model import Role
from scripts.twin.client.permissions import ALLOWED, NOT_JUDGED, REFUSED, Entry

OF_THE_CDK = "cdk-"  # the roles that deploy


@dataclass(frozen=True, kw_only=True)
class RoleUse:
    """The entries of one role, one for each right and result; `unused` are granted actions, each
    with its resources."""

    role: str
    used: tuple[Entry, ...]
    refused: tuple[Entry, ...]
    not_judged: tuple[Entry, ...]
    unused: tuple[tuple[str, tuple[str, ...]], ...]


def used_rights(entries: Iterable[Entry], roles: Mapping[str, Role]) -> list[RoleUse]:
    """By role; `roles` are those that still exist. A right that no call has used may be needed all
    the same."""
    by_role: dict[str, list[Entry]] = {}
    for entry in entries:
        if not entry.role.startswith(OF_THE_CDK):
            by_role.setdefault(entry.role, []).append(entry)
    return [
        RoleUse(
            role=name,
            used=_with(found, ALLOWED),
            refused=_with(found, REFUSED),
            not_judged=_with(found, NOT_JUDGED),
            unused=_unused(roles[name], found) if name in roles else (),
        )
        for name, found in sorted(by_role.items())
    ]


def _with(entries: Iterable[Entry], result: str) -> tuple[Entry, ...]:
    found = {(each.action, each.resource, each.why): each for each in entries
             if each.result == result}  # fmt: skip
    return tuple(sorted(found.values(), key=lambda each: (each.action, each.resource)))


def _unused(role: Role, entries: list[Entry]) -> tuple[tuple[str, tuple[str, ...]], ...]:
    asked = [each for each in entries if each.result != REFUSED]
    return tuple(
        (action, statement.resources)
        for statement in role.statements
        for action in statement.actions
        if not any(_may_be(each, action, statement.resources) for each in asked)
    )


def _may_be(entry: Entry, action: str, resources: tuple[str, ...]) -> bool:
    """Is what was asked for among what the statement grants?"""
    return fnmatchcase(entry.action.lower(), action.lower()) and (
        entry.resource in {"?", "*"} or any(fnmatchcase(entry.resource, each) for each in resources)
    )
