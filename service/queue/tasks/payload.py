"""A task's payload: the fields of its signature as a checked type."""

import inspect
import math
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec


class SignatureError(Exception):
    """The function's signature cannot be a payload."""


def payload_type(function: Callable[..., Any], name: str) -> type[msgspec.Struct]:
    """A struct of the parameters after the context. It refuses unknown fields and wrong types.

    Raises `SignatureError`.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        raise SignatureError("the first parameter of a task is its context")
    if parameters[0].name.lstrip("_") not in ("ctx", "context", ""):
        raise SignatureError(
            f"{parameters[0].name}: the first parameter of a task is its context: name it ctx"
        )
    hints = get_type_hints(function, include_extras=True)
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for parameter in parameters[1:]:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise SignatureError(f"*{parameter.name}: name each field of the payload")
        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise SignatureError(f"{parameter.name}: must not be positional-only")
        if parameter.name not in hints:
            raise SignatureError(f"{parameter.name}: needs a type annotation")
        kind = hints[parameter.name]
        if parameter.default is parameter.empty:
            fields.append((parameter.name, kind))
        else:
            fields.append((parameter.name, kind, _default(parameter.default)))
    try:
        made = msgspec.defstruct(
            f"{name} payload", fields, forbid_unknown_fields=True, kw_only=True
        )
        msgspec.json.schema(made)  # refuses a type that has no JSON form
    except TypeError as error:
        raise SignatureError(str(error)) from None
    return made


# What msgspec raises for a value that JSON cannot hold: an unknown type, half of a surrogate pair,
# a value that contains itself.
UNSTORABLE = (TypeError, ValueError, OverflowError, RecursionError)


def unstorable(error: BaseException) -> str:
    """Why a value has no JSON form; the text never holds the value."""
    match error:
        case UnicodeEncodeError():
            return "holds half of a surrogate pair, which is no text"
        case RecursionError():
            return "holds itself, or is nested too deeply for JSON"
        case _:
            return f"cannot be stored as JSON: {error}"


def not_finite(tree: Any, path: str) -> tuple[str, float] | None:
    """The path and value of the first NaN or infinity in a tree of JSON values."""
    if isinstance(tree, float):
        return None if math.isfinite(tree) else (path, tree)
    if isinstance(tree, dict):
        inner = ((f"{path}.{name}", value) for name, value in tree.items())
    elif isinstance(tree, list | tuple):
        inner = ((f"{path}[{at}]", value) for at, value in enumerate(tree))
    else:
        return None
    return next((found for where, value in inner if (found := not_finite(value, where))), None)


SCALARS = (str, int, float, bool, NoneType)


def is_flat(kind: type[msgspec.Struct]) -> bool:
    """Is every field a str, int, float, bool or None? Such a payload survives JSON unchanged."""
    return all(map(_is_scalar, msgspec.structs.fields(kind)))


def _is_scalar(field: msgspec.structs.FieldInfo) -> bool:
    is_union = get_origin(field.type) in (Union, UnionType)
    types = get_args(field.type) if is_union else (field.type,)
    if not all(each in SCALARS for each in types):
        return False
    # a default may be of another type than its annotation
    return field.default is msgspec.NODEFAULT or isinstance(field.default, types)


def required_fields(kind: type[msgspec.Struct]) -> list[str]:
    """The fields without a default."""
    return [found.name for found in msgspec.structs.fields(kind) if found.required]


def _default(value: Any) -> Any:
    """A mutable default as a factory, so that no two jobs share it."""
    if isinstance(value, list | dict | set):
        return msgspec.field(default_factory=lambda: type(value)(value))
    return value
