"""Statements of a policy document."""

from collections.abc import Mapping
from typing import Any

from scripts.doctor.model import Statement


def read_statements(document: Mapping[str, Any]) -> list[Statement]:
    """What it allows; what it denies is left out."""
    found = document["Statement"]
    return [
        Statement(actions=_many(each.get("Action")), resources=_many(each.get("Resource")))
        for each in (found if isinstance(found, list) else [found])
        if each["Effect"] == "Allow"
    ]


def _many(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    return tuple(str(each) for each in value) if isinstance(value, list) else (str(value),)
