"""The JSON schema of `stages.toml`, from the same definition as its checks, for editors.

`make docs` writes it to stages.schema.json; `.taplo.toml` names it, for taplo and for VS Code's
Even Better TOML. What depends on two keys, only `cdk synth` can say.
"""

import ast
import dataclasses
import inspect
import json
from typing import Any

from service.contract import (
    POOL_NAME_PATTERN,
    QUEUE_NAME_PATTERN,
    QUEUE_WEIGHT_MAX,
    ProcessName,
)
from stacks.config import stage
from stacks.config.processes import WORKERS
from stacks.config.read_pools import POOL_KEYS
from stacks.config.read_stage import nested
from stacks.config.secrets import PLACE, PLACE_ALLOWED
from stacks.config.stage import CONFIGURABLE
from stacks.config.stages_file import ENV, EXTENDS, PROCESSES, SECRETS, SECTIONS
from stacks.config.values import allowed
from stacks.config.variables import NAME, VALUE_MAX_CHARACTERS

STAGE = {"$ref": "#/$defs/stage"}
NOT_IN_FILE = ("first_deploy",)
NETWORK: dict[str, Any] = {"type": "string", "pattern": r"^\d+\.\d+\.\d+\.\d+/\d+$"}
QUEUE = {"pattern": QUEUE_NAME_PATTERN}
WEIGHT = {"type": "integer", "minimum": 1, "maximum": QUEUE_WEIGHT_MAX}
QUEUES: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "minItems": 1, "items": {"type": "string"} | QUEUE},
        {"type": "object", "propertyNames": QUEUE, "additionalProperties": WEIGHT},
    ]
}


def describe_keys() -> dict[str, str]:
    """What each key is: the docstring behind its field in `Stage`."""
    (found,) = (
        node
        for node in ast.parse(inspect.getsource(stage)).body
        if isinstance(node, ast.ClassDef) and node.name == stage.Stage.__name__
    )
    described = {}
    for field, text in zip(found.body, found.body[1:], strict=False):
        match field, text:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(
                value=ast.Constant(value=str(what))
            ):
                described[name] = " ".join(what.split())
    return described


def schema() -> dict[str, Any]:
    """A JSON schema (draft 7, which editors know) of the whole file."""
    described = describe_keys()
    flat: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    for key, field in CONFIGURABLE.items():
        if key in NOT_IN_FILE:
            continue
        flat[key] = _kind(field) | {"description": f"{described[key]} Allowed: {allowed(field)}."}
        section, dot, inner = nested(key).partition(".")
        if dot:
            sections[section][inner] = flat[key]
    keys = flat | {
        section: {"type": "object", "properties": inner, "additionalProperties": False}
        for section, inner in sections.items()
    }
    env = {
        "type": "object",
        "description": "Environment variables of your own, in the processes of these stages.",
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
        "additionalProperties": {
            "anyOf": [
                {"type": "string", "maxLength": VALUE_MAX_CHARACTERS},
                {"type": ["number", "boolean"]},
            ]
        },
    }
    secrets = {
        "description": "Environment variables of your own that are secret: their names, or where "
        f"each is kept. {PLACE_ALLOWED}.",
        "anyOf": [
            {
                "type": "array",
                "items": {"type": "string", "pattern": f"^{NAME.pattern}$"},
                "uniqueItems": True,
            },
            {
                "type": "object",
                "propertyNames": {"pattern": f"^{NAME.pattern}$"},
                "additionalProperties": {"type": "string", "pattern": f"^{PLACE}?$"},
            },
        ],
    }
    own = {ENV: env, SECRETS: secrets}
    keys |= own
    for section in PROCESSES:
        keys[section]["properties"] |= own
    keys[WORKERS] = _pools(flat, own)
    extends = {
        EXTENDS: {"type": "string", "description": "Another stage, all of whose keys count."}
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The stages of a project",
        "type": "object",
        "properties": keys,
        "additionalProperties": STAGE,
        "$defs": {
            "stage": {
                "type": "object",
                "properties": extends | keys,
                "additionalProperties": False,
            }
        },
    }


def _pools(flat: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    keys = {key: flat[f"{ProcessName.WORKER}_{key}"] for key in POOL_KEYS}
    pool = {"type": "object", "properties": keys | own, "additionalProperties": False}
    return {
        "type": "object",
        "description": "Pools of workers that serve queues of their own; false: not in this stage.",
        "propertyNames": {"pattern": POOL_NAME_PATTERN},
        "additionalProperties": {"anyOf": [pool, {"const": False}]},
    }


def as_json() -> str:
    return json.dumps(schema(), indent=2) + "\n"


def _kind(field: dataclasses.Field[Any]) -> dict[str, Any]:
    rule = field.metadata
    match rule["kind"]:
        case "flag":
            return {"type": "boolean"}
        case "choice":
            return {"enum": list(rule["options"])}
        case "number":
            kind = "number" if "float" in str(field.type) else "integer"
            return {"type": kind, "minimum": rule["least"], "maximum": rule["most"]}
        case "network" | "queues" as kind:
            return {"network": NETWORK, "queues": QUEUES}[kind]
        case "names":
            return {"type": "array", "items": _text(rule["pattern"])}
        case _:
            return _text(rule["pattern"]) | {"maxLength": rule["most"]}


def _text(pattern: str) -> dict[str, Any]:
    """The pattern where every editor's engine reads it: not all know `(?`."""
    if "(?" in pattern:
        return {"type": "string"}
    return {"type": "string", "pattern": f"^(?:{pattern.removeprefix('^').removesuffix('$')})?$"}
