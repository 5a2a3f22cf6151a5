"""Explains to a caller why a value does not fit its type, or cannot be stored."""

import re
from collections.abc import Iterator
from typing import Any

from msgspec import inspect

from service.problem import InvalidFieldError

MAX_DEPTH = 64  # far below Python's recursion limit, also where a job is read deep in the stack
STEP = re.compile(r"\.([^.\[\]]+)|\[[^\]]*\]")  # of msgspec's paths, such as `lines[0].price`


def explain(reason: str, path: str, kind: Any) -> str:
    """msgspec's `reason` for the value at `path` in a `kind`, made clearer by the type there.

    For an enum it names the allowed values. For a pattern it gives the description of the type, as
    in `Annotated[str, Meta(pattern=…, description="a colour such as #ff8800")]`.
    """
    is_choice = reason.startswith("Invalid enum value")
    if not is_choice and " matching regex " not in reason:
        return reason
    try:
        found = [inspect.type_info(kind)]
    except TypeError:  # a type of Litestar or pydantic that msgspec does not know
        return reason
    for name in STEP.findall(f".{path}" if path else ""):
        found = [inner for outer in found for inner in _inner(outer, name)]
    alternatives = [each for one in found for each in _alternatives(one)]
    if is_choice:
        choices = ", ".join(repr(value) for each in alternatives for value in _choices(each))
        return f"{reason}; allowed: {choices}" if choices else reason
    for each in alternatives:
        if isinstance(each, inspect.Metadata) and getattr(each.type, "pattern", None):
            description = (each.extra_json_schema or {}).get("description")
            return f"Expected {description}" if description else reason
    return reason


def _alternatives(kind: inspect.Type) -> Iterator[inspect.Type]:
    """The type itself and, for an annotated type or a union, the types inside."""
    yield kind
    if isinstance(kind, inspect.Metadata):
        yield from _alternatives(kind.type)
    elif isinstance(kind, inspect.UnionType):
        for each in kind.types:
            yield from _alternatives(each)


def _inner(kind: inspect.Type, name: str) -> Iterator[inspect.Type]:
    """The type of the field `name`; without a name, the types of the items."""
    for each in _alternatives(kind):
        if name:
            fields = getattr(each, "fields", ())
            yield from (found.type for found in fields if found.encode_name == name)
        else:
            yield from getattr(each, "item_types", ())
            yield from (
                getattr(each, items)
                for items in ("item_type", "value_type")
                if hasattr(each, items)
            )


def _choices(kind: inspect.Type) -> list[Any]:
    if isinstance(kind, inspect.EnumType):
        return [member.value for member in kind.cls]
    return list(kind.values) if isinstance(kind, inspect.LiteralType) else []


def refuse_unstorable(value: Any, path: str = "", depth: int = MAX_DEPTH) -> None:
    """Raises `InvalidFieldError` for a NUL, which Postgres cannot store.

    Raises `RecursionError` for what is nested more than 64 levels deep.
    """
    if depth == 0:
        raise RecursionError(f"nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidFieldError(path or "body", "must not hold the character U+0000")
    elif isinstance(value, dict):
        for key, inner in value.items():
            refuse_unstorable(key, path, depth)
            refuse_unstorable(inner, f"{path}.{key}" if path else key, depth - 1)
    elif isinstance(value, list):
        for position, inner in enumerate(value):
            refuse_unstorable(inner, f"{path}[{position}]", depth - 1)
