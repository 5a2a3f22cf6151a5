"""Which functions, classes and constants can be reached from a start, read from the source.

Rapid type analysis (Bacon and Sweeney, 1996): a method counts as reached when its class is named in
reached code and so is the method. It finds rather too much than too little. What it cannot see is
code that is found by name at run time; whoever asks names that as a start.
"""

import ast
import functools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


@dataclass(frozen=True, order=True)
class Place:
    """Something at the top of a module, or a method as `Class.method`; the module itself as ""."""

    module: str
    name: str

    def __str__(self) -> str:
        return f"{self.module}.{self.name}"


@dataclass
class Module:
    """A parsed file; `imported` says what its names stand for."""

    name: str
    tree: ast.Module
    is_package: bool
    defined: dict[str, ast.AST] = field(default_factory=dict)
    imported: dict[str, Place] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for node in self.tree.body:
            if isinstance(node, Definition):
                self.defined[node.name] = node
            elif isinstance(node, ast.Assign):
                for target in node.targets:
                    for each in ast.walk(target):
                        if isinstance(each, ast.Name):
                            self.defined[each.id] = node
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                self.defined[node.target.id] = node
        for found in ast.walk(self.tree):  # those in functions too
            if isinstance(found, ast.Import):
                for each in found.names:
                    name = each.name if each.asname else each.name.partition(".")[0]
                    self.imported[each.asname or name] = Place(name, "")
            elif isinstance(found, ast.ImportFrom):
                for each in found.names:
                    place = Place(self._absolute(found), each.name)
                    self.imported[each.asname or each.name] = place

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.name.split(".")
        base = parts[: len(parts) - node.level + self.is_package]
        return ".".join([*base, *([node.module] if node.module else [])])


class Code:
    """The packages under `root`, without the folders `unread`."""

    def __init__(self, root: Path, packages: Iterable[str], unread: Iterable[str] = ()) -> None:
        unseen = [root / folder for folder in unread]
        self.modules: dict[str, Module] = {}
        for package in packages:
            for file in sorted((root / package).rglob("*.py")):
                if not any(file.is_relative_to(folder) for folder in unseen):
                    module = _read(root, file.relative_to(root))
                    self.modules[module.name] = module

    def plant(self, file: str, text: str) -> None:
        """More at the end of a file, or a new one. To be done before anything is asked."""
        planted, path = ast.parse(text), Path(file)
        if known := self.modules.get(".".join(path.with_suffix("").parts)):
            planted.body = [*known.tree.body, *planted.body]
        module = _module(path, planted)
        self.modules[module.name] = module

    def places(self, module: str) -> list[Place]:
        """Everything at the top of a module."""
        return [Place(module, name) for name in self.modules[module].defined]

    def decorated(self, module: str, names: Iterable[str]) -> list[Place]:
        """The functions of a module with one of these decorators, or a method of one: `app` finds
        `@app`, `@app(…)` and `@app.command(…)`."""
        return [
            place
            for place in self.places(module)
            if isinstance(node := self.node(place), Definition)
            and any(_head(each) in set(names) for each in node.decorator_list)
        ]

    def node(self, place: Place) -> ast.AST | None:
        """Its syntax; None where it is not of these packages."""
        module = self.modules.get(place.module)
        if module is None:
            return None
        if "." in place.name:
            owner, _, method = place.name.partition(".")
            return self._methods.get(Place(place.module, owner), {}).get(method)
        return module.defined.get(place.name)

    def find(self, place: Place) -> Place | None:
        """What the name really is, through the modules that pass it on; None for a stranger."""
        seen = set()
        while place not in seen:
            seen.add(place)
            if f"{place.module}.{place.name}" in self.modules:
                return Place(f"{place.module}.{place.name}", "")
            module = self.modules.get(place.module)
            if module is None:
                return None
            if not place.name or place.name in module.defined:
                return place
            if place.name not in module.imported:
                return None
            place = module.imported[place.name]
        return None

    @cached_property
    def _methods(self) -> dict[Place, dict[str, ast.AST]]:
        return {
            Place(name, node.name): {
                each.name: each
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
            for name, module in self.modules.items()
            for node in module.defined.values()
            if isinstance(node, ast.ClassDef)
        }

    def named_in(self, place: Place) -> Iterator[Place]:
        """What the code at `place` names, of these packages."""
        node, module = self.node(place), self.modules[place.module]
        for each in ast.walk(node) if node else ():
            if isinstance(each, ast.Name):
                if each.id in module.defined:
                    yield Place(place.module, each.id)
                elif each.id in module.imported and (found := self.find(module.imported[each.id])):
                    yield found
            elif isinstance(each, ast.Attribute) and isinstance(each.value, ast.Name):
                holder = module.imported.get(each.value.id)
                found = self.find(holder) if holder else None
                if (
                    found
                    and not found.name
                    and (inner := self.find(Place(found.module, each.attr)))
                ):
                    yield inner

    def reach(self, starts: Iterable[Place], *, without: Iterable[str] = ()) -> "Reach":
        """Whatever can be reached from `starts`; nothing below a place or module of `without`."""
        return Reach(self, list(starts), frozenset(without))


class Reach:
    """`places` is what is reached, `attributes` what is written after a dot there."""

    def __init__(self, code: Code, starts: list[Place], without: frozenset[str]) -> None:
        self.code = code
        self.places: set[Place] = set()
        self.attributes: set[str] = set()
        self._classes: set[Place] = set()
        self._without = without
        waiting = list(starts)
        while waiting:
            for place in waiting:
                self._take(place)
            waiting = [each for each in self._next() if each not in self.places]

    def _take(self, place: Place) -> None:
        if place in self.places or self._is_cut(place):
            return
        self.places.add(place)
        node = self.code.node(place)
        if isinstance(node, ast.ClassDef):
            self._classes.add(place)
        for each in self.code.named_in(place) if not isinstance(node, ast.ClassDef) else ():
            self._take(each)
        if isinstance(node, ast.ClassDef):
            for base in self._beside_methods(place, node):
                self._take(base)
        elif node is not None:
            self.attributes |= {
                each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)
            }

    def _beside_methods(self, place: Place, node: ast.ClassDef) -> Iterator[Place]:
        module = self.code.modules[place.module]
        outside = [*node.bases, *(e for e in node.body if not isinstance(e, Definition))]
        for part in outside:
            for each in ast.walk(part):
                if isinstance(each, ast.Name):
                    known = module.imported.get(each.id, Place(place.module, each.id))
                    if (found := self.code.find(known)) and found.name:
                        yield found

    def _next(self) -> Iterator[Place]:
        for owner in self._classes:
            for name in self.code._methods.get(owner, {}):
                if name in self.attributes or name.startswith("__"):
                    place = Place(owner.module, f"{owner.name}.{name}")
                    if not self._is_cut(place):
                        yield place

    def _is_cut(self, place: Place) -> bool:
        parts = str(place).split(".")
        return any(".".join(parts[:end]) in self._without for end in range(1, len(parts) + 1))

    def nodes(self) -> Iterator[tuple[Place, ast.AST]]:
        """The syntax of every function, method and constant that is reached."""
        for place in sorted(self.places):
            node = self.code.node(place)
            if node is not None and not isinstance(node, ast.ClassDef):
                yield place, node


@functools.cache
def _read(root: Path, file: Path) -> Module:
    return _module(file, ast.parse((root / file).read_text("utf-8")))


def _module(file: Path, tree: ast.Module) -> Module:
    parts = file.with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return Module(".".join(parts[:-1] if is_package else parts), tree, is_package)


def _head(node: ast.expr) -> str:
    while isinstance(node, ast.Call | ast.Attribute):
        node = node.func if isinstance(node, ast.Call) else node.value
    return node.id if isinstance(node, ast.Name) else ""
