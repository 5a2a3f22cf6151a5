"""Makes the values of two templates comparable: a reference equals one to the same resource."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

Template = Mapping[str, Any]
VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")


@dataclass(frozen=True)
class Reference:
    """A reference to a resource of the stage: its name, or one of its attributes."""

    stack: str
    id: str
    attribute: str  # "" for its Ref


@dataclass(frozen=True)
class Text:
    """Text with references in it, whose values are known only after the deploy."""

    parts: tuple[Any, ...]


class Values:
    """Reads the values of a stage's templates.

    `pseudo` has the pseudo parameters (`AWS::Region`, …), so that a template that names its region
    equals one that refers to it.
    """

    def __init__(self, templates: Mapping[str, Template], pseudo: Mapping[str, str]) -> None:
        self.templates, self.pseudo = templates, pseudo
        self.exports = {
            output["Export"]["Name"]: (stack, output["Value"])
            for stack, template in templates.items()
            for output in template.get("Outputs", {}).values()
            if isinstance(output.get("Export", {}).get("Name"), str)
        }

    def read(self, stack: str, value: Any) -> Any:
        """`value` as CloudFormation compares it: hashable, and numbers and flags as text."""
        if isinstance(value, bool):
            return str(value).lower()
        if isinstance(value, int | float):
            return f"{value:g}"
        if isinstance(value, list):
            return tuple(self.read(stack, each) for each in value)
        if not isinstance(value, dict):
            return value
        if len(value) == 1 and (name := next(iter(value))) in self.FUNCTIONS:
            return self.FUNCTIONS[name](self, stack, value[name])
        return frozenset(
            (name, self.read(stack, inner))
            for name, inner in value.items()
            if inner != {"Ref": "AWS::NoValue"}
        )

    def exported(self, name: str) -> Any:
        """The value of an export; its name where no template has it."""
        if name not in self.exports:
            return f"export {name}"
        stack, value = self.exports[name]
        return self.read(stack, value)

    def _ref(self, stack: str, name: str) -> Any:
        if name in self.templates[stack].get("Resources", {}):
            return Reference(stack, name, "")
        parameter = self.templates[stack].get("Parameters", {}).get(name, {})
        return self.pseudo.get(name, parameter.get("Default", name))

    def _attribute(self, stack: str, given: Any) -> Any:
        id, attribute = given.split(".", 1) if isinstance(given, str) else given
        return Reference(stack, id, str(self.read(stack, attribute)))

    def _import(self, stack: str, name: Any) -> Any:
        return self.exported(str(self.read(stack, name)))

    def _join(self, stack: str, given: Any) -> Any:
        between, items = given
        if not isinstance(items, list):
            return (between, self.read(stack, items))
        parts: list[Any] = []
        for item in items:
            parts += [between, self.read(stack, item)]
        return _text(parts[1:])

    def _sub(self, stack: str, given: Any) -> Any:
        text, own = (given, {}) if isinstance(given, str) else given
        parts: list[Any] = []
        for index, part in enumerate(VARIABLE.split(text)):
            if index % 2 == 0:
                parts.append(part)
            elif part in own:
                parts.append(self.read(stack, own[part]))
            elif "." in part:
                parts.append(self._attribute(stack, part))
            else:
                parts.append(self._ref(stack, part))
        return _text(parts)

    def _zones(self, stack: str, given: Any) -> Any:
        return ("zones", self.read(stack, given) or self.pseudo.get("AWS::Region", ""))

    FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {
        "Ref": _ref,
        "Fn::GetAtt": _attribute,
        "Fn::ImportValue": _import,
        "Fn::Join": _join,
        "Fn::Sub": _sub,
        "Fn::GetAZs": _zones,
    }


def _text(parts: list[Any]) -> Any:
    """The parts as one text; neighbours that are plain strings are joined."""
    found: list[Any] = []
    for part in parts:
        for each in part.parts if isinstance(part, Text) else (part,):
            if isinstance(each, str) and found and isinstance(found[-1], str):
                found[-1] += each
            elif each != "":
                found.append(each)
    if not found:
        return ""
    return found[0] if len(found) == 1 else Text(tuple(found))


def references(value: Any) -> Iterator[Reference]:
    """Every reference inside a value that was read."""
    if isinstance(value, Reference):
        yield value
    elif isinstance(value, Text):
        yield from references(value.parts)
    elif isinstance(value, tuple | frozenset):
        for each in value:
            yield from references(each)
