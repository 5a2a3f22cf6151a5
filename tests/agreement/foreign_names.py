"""What source code takes of libraries beside their documentation, as far as its text shows it."""

import ast
from collections import defaultdict
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

from tests.agreement.installed_parts import find

PRIVATE = "SLF001"  # ruff's rule: each line that it is switched off for has a row in the table
NOT_PRIVATE = {"_exit", "_fields", "_replace"}  # Python's own, and documented
OF_EACH = (".__module__", ".__name__")  # what every class or module has


@dataclass(frozen=True)
class Name:
    """What a name of a module stands for; `is_private`: no page of reference has it."""

    dotted: str
    is_private: bool


@dataclass(frozen=True, eq=False)
class Source:
    """One module of ours. `libraries` has the documented modules of each library, by its name."""

    module: str
    text: str
    libraries: Mapping[str, Container[str]]

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @cached_property
    def names(self) -> dict[str, Name]:
        """What is imported, and what is set to such a name, by the module's own name."""
        found: dict[str, Name] = {}
        for node in ast.walk(self.tree):
            if isinstance(node, ast.ImportFrom) and node.module:
                for each in node.names:
                    dotted = f"{node.module}.{each.name}"
                    is_private = not self._is_documented(node.module) or _has_underscore(dotted)
                    found[each.asname or each.name] = Name(dotted, is_private)
            elif isinstance(node, ast.Import):
                for each in node.names:
                    dotted = each.name if each.asname else each.name.partition(".")[0]
                    is_private = not self._is_documented(each.name)
                    found[each.asname or dotted] = Name(dotted, is_private)
        for node in ast.walk(self.tree):
            target, value = _assigned(node)
            if target and (known := self._resolve(value, found)) and self._is_foreign(known):
                found.setdefault(target, known)
        return found

    @cached_property
    def classes(self) -> dict[str, ast.ClassDef]:
        return {
            f"{self.module}.{node.name}": node
            for node in ast.walk(self.tree)
            if isinstance(node, ast.ClassDef)
        }

    @cached_property
    def own(self) -> set[str]:
        """The names that it defines, for itself and its classes."""
        found: set[str] = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                found.add(node.id)
            elif (
                isinstance(node, ast.Attribute)
                and isinstance(node.ctx, ast.Store)
                and isinstance(node.value, ast.Name)
                and node.value.id in ("self", "cls")
            ):
                found.add(node.attr)
        return found

    def private_names(self) -> Iterator[str]:
        """What is imported of a library, reached through that, or put in its place."""
        yield from (
            name.dotted
            for name in self.names.values()
            if self._is_foreign(name) and name.is_private
        )
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Attribute):
                continue
            name = self._resolve(node, self.names)
            is_set = isinstance(node.ctx, ast.Store)
            if name is None or name.dotted.endswith(OF_EACH):
                continue
            if self._is_foreign(name) and (name.is_private or is_set):
                yield name.dotted

    def bases(self, node: ast.ClassDef) -> Iterator[str]:
        """Of a class, dotted: of ours and of libraries."""
        for base in node.bases:
            plain = base.value if isinstance(base, ast.Subscript) else base
            if name := self._resolve(plain, self.names):
                yield name.dotted
            elif isinstance(plain, ast.Name):
                yield f"{self.module}.{plain.id}"

    @cached_property
    def underscores(self) -> dict[int, set[str]]:
        """The attributes with an underscore, by the number of their line."""
        found: dict[int, set[str]] = defaultdict(set)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Attribute) and _has_underscore(node.attr):
                found[node.end_lineno or 0] |= {node.attr} - NOT_PRIVATE
        return found

    def _is_documented(self, module: str) -> bool:
        library = module.partition(".")[0]
        return library not in self.libraries or module in self.libraries[library]

    def _is_foreign(self, name: Name) -> bool:
        return name.dotted.partition(".")[0] in self.libraries

    def _resolve(self, node: ast.expr | None, names: Mapping[str, Name]) -> Name | None:
        if isinstance(node, ast.Name):
            return names.get(node.id)
        if isinstance(node, ast.Attribute) and (base := self._resolve(node.value, names)):
            is_private = base.is_private or _has_underscore(node.attr)
            return Name(f"{base.dotted}.{node.attr}", is_private)
        return None


class Project:
    """All modules together: a class of ours may be of a library by way of another."""

    def __init__(self, sources: list[Source]) -> None:
        self.sources = sources
        self._classes = {name: source for source in sources for name in source.classes}

    def ancestors(self, name: str) -> Iterator[str]:
        """The classes that one of ours is made of, ours and others'."""
        source = self._classes.get(name)
        if source is None:
            return
        for base in source.bases(source.classes[name]):
            yield base
            yield from self.ancestors(base)

    def overridden(self, source: Source) -> Iterator[str]:
        """The members of a library's classes that the module's classes have anew."""
        for name, node in source.classes.items():
            for ancestor in self.ancestors(name):
                if ancestor.partition(".")[0] in source.libraries:
                    yield from _shared(node, ancestor, source.libraries)

    def unexplained(self, source: Source, parts: set[str]) -> list[str]:
        """The lines with a private name that neither our classes define nor the table has."""
        of_table = {part.rpartition(".")[2] for part in parts}
        files = {self._classes[each] for name in source.classes for each in self.ancestors(name)
                 if each in self._classes}  # fmt: skip
        own = source.own.union(*(each.own for each in files))
        found: list[str] = []
        for number, line in enumerate(source.text.splitlines(), 1):
            names = source.underscores.get(number, set())
            needs_row = PRIVATE in line and not names & of_table
            if unknown := names if needs_row else names - own - of_table:
                found.append(f"{source.module}:{number}: {', '.join(sorted(unknown))}")
        return found


def _shared(
    node: ast.ClassDef, ancestor: str, libraries: Mapping[str, Container[str]]
) -> Iterator[str]:
    for name in _members(node):
        for each in find(ancestor).__mro__:
            if name in vars(each):
                if each.__module__.partition(".")[0] in libraries:
                    yield f"{each.__module__}.{each.__qualname__}.{name}"
                break


def _members(node: ast.ClassDef) -> Iterator[str]:
    for each in node.body:
        if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef):
            if not each.name.startswith("__"):
                yield each.name
        elif target := _assigned(each)[0]:
            yield target


def _assigned(node: ast.AST) -> tuple[str, ast.expr | None]:
    """The one name that a statement sets, and to what."""
    target: ast.expr
    if isinstance(node, ast.AnnAssign):
        target, value = node.target, node.value
    elif isinstance(node, ast.Assign) and len(node.targets) == 1:
        target, value = node.targets[0], node.value
    else:
        return "", None
    return (target.id, value) if isinstance(target, ast.Name) else ("", None)


def _has_underscore(dotted: str) -> bool:
    return any(part.startswith("_") and not part.startswith("__") for part in dotted.split("."))
