"""A part of a library as it is in what is installed."""

import importlib
import inspect
import re
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import msgspec
import pydantic
import saq

ABSENT = "not there: ours"


class Default:
    """Stands for any default of a parameter."""

    def __repr__(self) -> str:
        return "…"


def as_it_is(dotted: str) -> str:
    """Its parameters where it has some, else what kind of thing it is."""
    try:
        return _kind(find(dotted))
    except ModuleNotFoundError:
        return ABSENT
    except AttributeError:
        owner, _, name = dotted.rpartition(".")
        return "attribute" if name in _of_objects(owner) else ABSENT


def _kind(found: Any) -> str:
    kinds = (
        ("module", inspect.ismodule(found)),
        ("class", inspect.isclass(found)),
        ("property", isinstance(found, property | cached_property)),
    )
    plain = found.__func__ if isinstance(found, classmethod | staticmethod) else found
    for kind, is_it in (*kinds, ("attribute", not callable(plain))):
        if is_it:
            return kind
    try:
        return f"`{_parameters(plain)}`"
    except ValueError:  # it is compiled
        return "function"


def path_as_it_is(path: str) -> str:
    """Of a file or folder, by its path from the library's own folder on."""
    spec = find_spec(path.partition("/")[0])
    assert spec is not None, path
    assert spec.submodule_search_locations, path
    found = Path(spec.submodule_search_locations[0]).parent / path
    if found.is_dir():
        return "folder"
    return "file" if found.is_file() else ABSENT


@cache
def text_of(module: str) -> str:
    """A module's source; of a compiled one what it says of wrong values."""
    compiled = {"msgspec": _said_by_msgspec, "pydantic": _said_by_pydantic}
    if said := compiled.get(module):
        return said()
    return inspect.getsource(importlib.import_module(module))


def find(dotted: str) -> Any:
    """What a dotted name stands for; a member of a class as the class has it.

    Raises `ModuleNotFoundError` or `AttributeError`.
    """
    parts = dotted.split(".")
    for count in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:count]))
        except ModuleNotFoundError:
            continue
        for part in parts[count:]:
            found = _member(found, part)
        return found
    raise ModuleNotFoundError(dotted)


def _member(owner: Any, name: str) -> Any:
    for each in owner.__mro__ if isinstance(owner, type) else ():
        if name in vars(each):
            return vars(each)[name]
    return getattr(owner, name)


def _parameters(found: Any) -> inspect.Signature:
    empty = inspect.Parameter.empty
    return inspect.Signature(
        [
            each.replace(annotation=empty, default=empty if each.default is empty else Default())
            for each in inspect.signature(found).parameters.values()
        ]
    )


def _of_objects(owner: str) -> set[str]:
    """What the objects of a class have: its fields, and what its methods set."""
    try:
        found = find(owner)
    except (ModuleNotFoundError, AttributeError):
        return set()
    library = owner.partition(".")[0]
    mro = getattr(found, "__mro__", ())  # a module has none
    own = [each for each in mro if each.__module__.partition(".")[0] == library]
    named = {name for each in own for name in inspect.get_annotations(each)}
    sources = map(inspect.getsource, own)
    return named.union(*(re.findall(r"self\.(\w+)\b[^=\n]*= ", each) for each in sources))


def _said_by_msgspec() -> str:
    word = Annotated[str, msgspec.Meta(pattern="a")]
    fields = {"number": int, "word": word, "status": saq.Status}
    right = {"number": 1, "word": "a", "status": "new"}
    kind = msgspec.defstruct("Kind", list(fields.items()), forbid_unknown_fields=True)
    said = []
    for wrong in ({}, *(right | each for each in (
        {"number": ""}, {"word": "b"}, {"status": "?"}, {"other": 1},
    ))):  # fmt: skip
        try:
            msgspec.convert(wrong, kind)
        except msgspec.ValidationError as error:
            said.append(str(error))
    return "\n".join(said)


def _said_by_pydantic() -> str:
    def refuse(_: int) -> int:
        raise ValueError("wrong")

    kind = pydantic.TypeAdapter(Annotated[int, pydantic.AfterValidator(refuse)])
    try:
        kind.validate_python(1)
    except pydantic.ValidationError as error:
        return str(error.errors()[0]["msg"])
    return ""
