"""Reads a job's payload as it is typed: `{"json": 1}` and `key=value` words."""

import json
from collections.abc import Iterator
from typing import Any

import typer

from scripts.api import Api
from scripts.errors import OperatorError

HELP = "count=3, name=x: JSON if the field accepts it, else text; or an object: '{\"count\": 3}'."
HINT = (
    "A value is JSON if its field accepts that, else text: count=3, ok=true, none=null, "
    """names='["a", "b"]', text='"in quotes"'; `moor tasks --json` shows each field's type."""
)
# The names in JSON Schema for the types of values that `json` returns.
TYPES = {
    str: {"string"}, bool: {"boolean"}, int: {"integer", "number"}, float: {"number"},
    type(None): {"null"}, list: {"array"}, dict: {"object"},
}  # fmt: skip


def task_schema(api: Api, task: str) -> dict[str, Any]:
    """The JSON Schema of a task's payload; empty where there is no such task."""
    found: Iterator[dict[str, Any]] = (
        each["payload_schema"]
        for each in api.get("tasks")["items"]
        if task in (each["name"], *each.get("aliases", []))
    )
    return next(found, {})


def read_payload(words: list[str], schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """The payload. A value is JSON if it parses and its field in `schema` accepts it, else text.

    Raises `typer.BadParameter` for a word of another form, and for a field that is given twice.
    """
    payload: dict[str, Any] = {}
    for word in words:
        new = _fields(word, schema or {})
        if twice := sorted(new.keys() & payload.keys()):
            raise typer.BadParameter(f"{twice[0]} is given twice")
        payload |= new
    return payload


def refused(error: OperatorError) -> OperatorError:
    """The API's error about a payload with a hint; any other error as it is."""
    is_of_payload = type(error) is OperatorError and "payload" in str(error) and not error.hint
    return OperatorError(str(error), HINT) if is_of_payload else error


def _fields(word: str, schema: dict[str, Any]) -> dict[str, Any]:
    if word.startswith("{"):
        try:
            found = json.loads(word, parse_constant=_refuse)
        except (ValueError, RecursionError) as error:
            raise typer.BadParameter(f"{word} is not JSON: {error}") from None
        return dict(found)
    name, equals, text = word.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f'{word!r} is neither KEY=VALUE nor an object like {{"key": 1}}')
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return {name: text}
    types = _types(schema.get("properties", {}).get(name, {}), schema)
    is_text = "string" in types and not types & TYPES[type(value)]
    return {name: text if is_text else value}


def _types(of: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    """The JSON Schema types that a field accepts; empty where the schema does not say."""
    if reference := of.get("$ref"):
        return _types(schema.get("$defs", {}).get(reference.rpartition("/")[2], {}), schema)
    given = of.get("type", [])
    types = {given} if isinstance(given, str) else set(given)
    for value in of.get("enum", []):
        types |= TYPES[type(value)]
    for each in (*of.get("anyOf", []), *of.get("oneOf", [])):
        types |= _types(each, schema)
    return types


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not in JSON")
