"""A form with a field for each parameter of a task, and the payload that somebody fills in."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from msgspec.inspect import (
    BoolType,
    EnumType,
    FloatType,
    IntType,
    LiteralType,
    Metadata,
    NoneType,
    StrType,
    Type,
    UnionType,
    type_info,
)

from service.problem import InvalidFieldError
from service.queue.tasks.task import Task

NAMES = "field."  # before the name of a field, in the form
TEXTS = {"DateTimeType": "2026-11-28T10:00:00Z", "DateType": "2026-11-28", "UUIDType": "a UUID"}


@dataclass(frozen=True)
class Field:
    """A parameter: what is asked for, `text`, `number`, `choice` or `json`, and its default."""

    name: str
    kind: str
    is_required: bool
    is_nullable: bool
    hint: str
    choices: tuple[str, ...] = ()


def fields_of(task: Task) -> list[Field]:
    """The fields of the task's payload, in the order of its signature."""
    return [_field(each) for each in msgspec.structs.fields(task.payload_type)]


def read_form(task: Task, given: Mapping[str, str]) -> dict[str, Any]:
    """The payload. An empty field that need not be given is left out; types are checked later.

    Raises `InvalidFieldError` for a field that is no JSON where it has to be.
    """
    payload: dict[str, Any] = {}
    for each in fields_of(task):
        text = given.get(NAMES + each.name, "")
        if text or each.is_required:
            payload[each.name] = _value(each, text)
    return payload


def _value(field: Field, text: str) -> Any:
    if not text and field.is_nullable:
        return None
    if field.kind == "text":
        return text
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        if field.kind == "json":
            raise InvalidFieldError(f"payload.{field.name}", f"is no JSON: {error}") from None
        return text  # the check of the payload says what it should be


def _field(info: msgspec.structs.FieldInfo) -> Field:
    kind, is_nullable = _bare(type_info(info.type))
    hint = "" if info.required else _default(info)
    name = "json"
    choices: tuple[str, ...] = ()
    match kind:
        case StrType():
            name = "text"
        case BoolType():
            name, choices = "choice", ("true", "false")
        case IntType() | FloatType():
            name = "number"
        case EnumType() | LiteralType():
            values = [msgspec.to_builtins(each) for each in _values(kind)]
            is_text = all(isinstance(each, str) for each in values)
            name = "text" if is_text else "choice"
            choices = tuple(each if is_text else str(each) for each in values)
        case _ if type(kind).__name__ in TEXTS:
            name = "text"
            hint = hint.removeprefix("null") or TEXTS[type(kind).__name__]
    return Field(info.encode_name, name, info.required, is_nullable, hint, choices)


def _bare(kind: Type) -> tuple[Type, bool]:
    """The type itself, and whether it may also be null."""
    while isinstance(kind, Metadata):
        kind = kind.type
    if not isinstance(kind, UnionType):
        return kind, False
    others = [each for each in kind.types if not isinstance(each, NoneType)]
    return (others[0] if len(others) == 1 else kind), len(others) < len(kind.types)


def _values(kind: EnumType | LiteralType) -> list[Any]:
    return list(kind.values) if isinstance(kind, LiteralType) else list(kind.cls)


def _default(info: msgspec.structs.FieldInfo) -> str:
    found = info.default
    if found is msgspec.NODEFAULT:
        found = info.default_factory() if info.default_factory is not msgspec.NODEFAULT else None
    return found if isinstance(found, str) else msgspec.json.encode(found).decode()
