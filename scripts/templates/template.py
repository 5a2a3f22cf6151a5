"""Reads a synthesized stage from a folder of the CDK (cdk.out) as plain values."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts.errors import NotDeployedError

SUB = re.compile(r"\$\{([^!}][^}]*)\}")


@dataclass(frozen=True)
class Resource:
    """One resource; `name` is `stack/LogicalId`, to which a reference to it resolves."""

    name: str
    type: str
    properties: Mapping[str, Any]

    def number(self, key: str) -> float | None:
        """The property as a number; None where there is none, or only a deploy knows it."""
        try:
            return float(self.properties[key])
        except (KeyError, TypeError, ValueError):
            return None

    def each(self, key: str) -> list[Any]:
        """What is in the property's list; nothing where only a deploy knows it."""
        found = self.properties.get(key)
        return found if isinstance(found, list) else []

    def within(self, key: str) -> Mapping[str, Any]:
        """The properties in that one; none where only a deploy knows them."""
        found = self.properties.get(key)
        return found if isinstance(found, Mapping) else {}


class Template:
    """Every resource of a stage's stacks, with its references resolved across them.

    A reference becomes text: `stack/LogicalId` for a Ref, `stack/LogicalId.Attribute` for an
    attribute, and `AWS::Region` and the like for values that only a deploy knows.
    """

    def __init__(self, stacks: Mapping[str, Mapping[str, Any]]) -> None:
        self._stacks = stacks

    @cached_property
    def resources(self) -> list[Resource]:
        return [
            Resource(
                f"{stack}/{logical_id}",
                found["Type"],
                self._resolved(stack, found.get("Properties", {})),
            )
            for stack, template in self._stacks.items()
            for logical_id, found in template["Resources"].items()
        ]

    def all(self, type: str) -> list[Resource]:
        """The resources of that CloudFormation type."""
        return [resource for resource in self.resources if resource.type == type]

    def get(self, name: str) -> Resource | None:
        """The resource to which a reference like `stack/LogicalId.Arn` points."""
        return self._by_name.get(name.partition(".")[0])

    @cached_property
    def _by_name(self) -> dict[str, Resource]:
        return {resource.name: resource for resource in self.resources}

    @cached_property
    def _exports(self) -> dict[str, tuple[str, Any]]:
        return {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, template in self._stacks.items()
            for output in template.get("Outputs", {}).values()
            if isinstance(output.get("Export", {}).get("Name"), str)
        }

    def _resolved(self, stack: str, value: Any) -> Any:
        if isinstance(value, list):
            return [self._resolved(stack, each) for each in value]
        if not isinstance(value, Mapping):
            return value
        if len(value) == 1:
            ((key, argument),) = value.items()
            if key == "Ref" or key.startswith("Fn::"):
                return self._called(stack, key, argument)
        return {key: self._resolved(stack, each) for key, each in value.items()}

    def _called(self, stack: str, function: str, argument: Any) -> Any:
        match function, argument:
            case "Ref", str():
                found: Any = self._referred(stack, argument)
            case "Fn::GetAtt", [str() as logical_id, attribute]:
                found = f"{stack}/{logical_id}.{attribute}"
            case "Fn::ImportValue", str() if argument in self._exports:
                found = self._resolved(*self._exports[argument])
            case "Fn::Join", [str() as between, list() as parts]:
                found = between.join(str(self._resolved(stack, part)) for part in parts)
            case "Fn::Sub", str():
                found = SUB.sub(lambda name: self._referred(stack, name[1]), argument)
            case _:  # only a deploy knows the value
                found = f"{function} {json.dumps(argument, sort_keys=True)}"
        return found

    def _referred(self, stack: str, name: str) -> str:
        return name if name.startswith("AWS::") else f"{stack}/{name}"


def read_template(folder: Path) -> Template:
    """The templates in a folder of the CDK. Raises `NotDeployedError` where there are none."""
    return Template(read_stacks(folder))


def read_stacks(folder: Path) -> dict[str, Any]:
    """The unresolved templates, by stack. Raises `NotDeployedError` where there are none."""
    files = dict(_stack_files(folder))
    if not files:
        raise NotDeployedError(
            f"there is no synthesized stage in {folder}",
            "`make synth` writes every stage into cdk.out; --template names another folder.",
        )
    return {stack: json.loads(file.read_text("utf-8")) for stack, file in files.items()}


def _stack_files(folder: Path) -> Iterator[tuple[str, Path]]:
    try:
        manifest = json.loads((folder / "manifest.json").read_text("utf-8"))
    except (OSError, ValueError):
        return
    for name, artifact in manifest["artifacts"].items():
        if artifact["type"] == "aws:cloudformation:stack":
            yield name, folder / artifact["properties"]["templateFile"]
