"""A workspace of AWS Copilot as it lies in a repository: every field with its file and line.

https://aws.github.io/copilot-cli/docs/manifest/overview/
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from scripts.errors import NotFoundError, OperatorError

FOLDER, WORKSPACE = "copilot", ".workspace"
ENVIRONMENTS, PIPELINES, OVERRIDES = "environments", "pipelines", "overrides"
MOST_BYTES, MOST_FIELDS = 1_000_000, 5_000  # an alias of YAML can be a thousand fields more
Path_ = tuple[str, ...]


@dataclass(frozen=True)
class Field:
    """A value of a manifest; a list of plain values is one."""

    file: str
    line: int
    path: Path_
    value: Any

    @property
    def name(self) -> str:
        return ".".join(self.path)


@dataclass(frozen=True)
class Manifest:
    file: str
    name: str
    type: str
    fields: tuple[Field, ...]

    @property
    def overridden(self) -> list[str]:
        """The environments that it names."""
        return list(
            dict.fromkeys(
                each.path[1]
                for each in self.fields
                if each.path[0] == ENVIRONMENTS and len(each.path) > 1
            )
        )

    def of(self, environment: str) -> list[Field]:
        """The fields that count in an environment: its own values replace those for all.

        A field keeps the path that it has without `environments.<name>`.
        """
        found = [each for each in self.fields if each.path[0] != ENVIRONMENTS]
        for each in self.fields:
            if each.path[:2] == (ENVIRONMENTS, environment):
                own = replace(each, path=each.path[2:])
                found = [one for one in found if not _is_within(one.path, own.path)]
                found.append(own)
        return found


@dataclass(frozen=True)
class Workspace:
    app: str
    services: list[Manifest]
    environments: list[Manifest]
    pipelines: list[Manifest]
    others: list[str]  # add-ons and overrides: CloudFormation, and programs that change it

    @property
    def stages(self) -> list[str]:
        """The names of the environments, those with a manifest first."""
        named = [each.name for each in self.environments]
        return list(
            dict.fromkeys(named + [name for each in self.services for name in each.overridden])
        )


def read_workspace(folder: Path) -> Workspace:
    """Raises `OperatorError` where `folder` has none, or what it has cannot be read."""
    root = folder if folder.name == FOLDER else folder / FOLDER
    files = sorted(root.glob("**/manifest.y*ml"))
    if not files:
        raise NotFoundError(
            f"{root} has no manifest.yml", "Name the folder that has the folder copilot/ in it."
        )
    read = {file: _manifest(file, file.relative_to(root.parent)) for file in files}

    def those(room: str) -> list[Manifest]:
        return [found for file, found in read.items() if file.relative_to(root).parts[0] == room]

    kept = (ENVIRONMENTS, PIPELINES)
    return Workspace(
        app=_app(root),
        services=[
            found for file, found in read.items() if file.relative_to(root).parts[0] not in kept
        ],
        environments=those(ENVIRONMENTS),
        pipelines=those(PIPELINES),
        others=[
            str(each.relative_to(root.parent))
            for each in sorted(root.rglob("*"))
            if each.is_file()
            and each.suffix in {".yml", ".yaml", ".ts", ".go"}
            and each not in read
            and {"addons", OVERRIDES} & set(each.relative_to(root).parts)
            and "node_modules" not in each.parts
        ],
    )


def _app(root: Path) -> str:
    file = root / WORKSPACE
    if not file.exists():
        return ""
    for field in _fields(file, str(file.relative_to(root.parent))):
        if field.name == "application":
            return str(field.value)
    return ""


def _manifest(file: Path, shown: Path) -> Manifest:
    fields = tuple(_fields(file, str(shown)))
    said = {each.name: each.value for each in fields}
    return Manifest(
        str(shown), str(said.get("name") or file.parent.name), str(said.get("type") or ""), fields
    )


def _fields(file: Path, shown: str) -> Iterator[Field]:
    try:
        if file.stat().st_size > MOST_BYTES:
            raise OperatorError(f"{shown} has more than {MOST_BYTES} bytes", "Is it a manifest?")
        loader = yaml.SafeLoader(file.read_text("utf-8-sig"))
        try:
            node = loader.get_single_node()
            for count, field in enumerate(_walk(loader, node, shown, ()), 1):
                if count > MOST_FIELDS:
                    raise OperatorError(f"{shown} has more than {MOST_FIELDS} fields", "")
                yield field
        finally:
            loader.dispose()
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise OperatorError(f"{shown} cannot be read: {error}", "Mend the file.") from None


def _walk(loader: yaml.SafeLoader, node: Any, file: str, path: Path_) -> Iterator[Field]:
    line = node.start_mark.line + 1 if node is not None else 1
    match node:
        case yaml.MappingNode():
            loader.flatten_mapping(node)  # <<: *base
            for key, value in node.value:
                yield from _walk(loader, value, file, (*path, _text(key)))
        case yaml.SequenceNode() if any(not isinstance(n, yaml.ScalarNode) for n in node.value):
            for index, each in enumerate(node.value):
                yield from _walk(loader, each, file, (*path, str(index)))
        case yaml.SequenceNode():
            yield Field(file, line, path, [_plain(loader, each) for each in node.value])
        case yaml.ScalarNode() if path:
            yield Field(file, line, path, _plain(loader, node))


def _plain(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    if not node.tag.startswith("tag:yaml.org,2002:"):  # !Ref and its like
        return str(node.value)
    value = loader.construct_object(node)
    return value if isinstance(value, str | int | float | bool | None) else str(node.value)


def _text(node: Any) -> str:
    return str(node.value) if isinstance(node, yaml.ScalarNode) else "?"


def _is_within(path: Path_, other: Path_) -> bool:
    """Is one the other, or a part of it? A number takes the place of a map, and a map of it."""
    shorter = min(len(path), len(other))
    return path[:shorter] == other[:shorter]
