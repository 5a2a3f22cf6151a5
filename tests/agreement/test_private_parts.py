"""What the code takes of libraries beside their documentation is in a table, and still as read."""

import re
import sys
from importlib.metadata import version

import pytest
from packaging.requirements import Requirement

from tests.agreement.foreign_names import PRIVATE, Project, Source
from tests.agreement.installed_parts import ABSENT
from tests.agreement.private_parts import (
    BY_HAND,
    DOCUMENTED,
    LIBRARIES,
    described,
    project,
    requirements,
    row,
    table,
    uses,
)
from tests.conftest import ROOT
from tests.generated import COMMAND, written

PAGE = "docs/private-parts.md"
DOCUMENTED_MODULES = {name: library.documented for name, library in LIBRARIES.items()}


def rows(chapters: str) -> dict[str, str]:
    """The rest of each row by its part."""
    return dict(re.findall(r"^\| `+(.+?)`+ (\|.*)\|$", chapters, re.MULTILINE))


def differences(page: str, now: str) -> list[str]:
    """Which parts are not as the page has them."""
    old, new = rows(page), rows(now)
    return [
        f"{part}: {PAGE} has {old.get(part, '| no row')}, it is {new.get(part, '| not used')}"
        for part in sorted(old.keys() | new.keys())
        if old.get(part) != new.get(part)
    ]


def wrong_bounds(asked: Requirement, *versions: str) -> list[str]:
    """What is wrong with the versions that are allowed, for a library of which this was read."""
    has_end = any(each.operator in ("<", "<=", "==", "~=") for each in asked.specifier)
    return [
        *([] if has_end else [f"{asked} has no upper bound"]),
        *(f"{asked} leaves out {each}" for each in versions if each not in asked.specifier),
    ]


def source(text: str) -> Source:
    return Source("service.attic", text, DOCUMENTED_MODULES)


def test_each_part_is_as_it_was_read() -> None:
    page, now = written(PAGE), table()

    assert not differences(page, now), f"read these, then `{COMMAND}`"
    assert page == now, COMMAND


def test_no_private_name_is_without_a_row() -> None:
    parts = set(uses())
    found = [project().unexplained(each, parts) for each in project().sources]

    assert not [line for lines in found for line in lines], f"BY_HAND, and `{COMMAND}`"


def test_each_library_is_documented_or_in_the_table() -> None:
    known = {*sys.stdlib_module_names, *DOCUMENTED, *LIBRARIES, "service", "scripts", "stacks"}
    imported = {
        name.dotted.partition(".")[0] for each in project().sources for name in each.names.values()
    }

    assert imported <= known


@pytest.mark.parametrize("name", LIBRARIES)
def test_each_library_has_an_upper_bound_and_was_read_within_it(name: str) -> None:
    library = LIBRARIES[name]
    installed = version("cfn-lint" if name == "cfnlint" else name.replace("_", "-"))

    asked = requirements()[library.name]

    assert not wrong_bounds(asked, library.read, installed)


@pytest.mark.parametrize("part", BY_HAND)
def test_what_is_named_by_hand_is_used_there(part: str) -> None:
    files = (ROOT / BY_HAND[part]).rglob("*.py")
    name = re.split(r"[./]", part.removesuffix(".json"))[-1]

    assert any(re.search(rf"\b{name}\b", file.read_text("utf-8")) for file in files)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("from uvicorn._types import Scope", "uvicorn._types.Scope"),
        ("from litestar.utils import normalize_path", "litestar.utils.normalize_path"),
        ("import saq\nsaq.Job._duration", "saq.Job._duration"),
        ("from saq import Job\nJob.info = None", "saq.Job.info"),
        ("from moto.ecs import models\nmodels.Task", "moto.ecs.models.Task"),
        ("from moto.ecs.models import Task\nT = Task\nT.x = 1", "moto.ecs.models.Task.x"),
    ],
)  # fmt: skip
def test_a_use_is_found(text: str, part: str) -> None:
    assert part in set(source(text).private_names())


def test_a_method_that_is_overridden_is_found_through_our_own_classes() -> None:
    base = Source("service.base", "from saq import Job\nclass Base(Job): ...", DOCUMENTED_MODULES)
    heir = source("from service.base import Base\nclass Heir(Base):\n    def info(self): ...")

    assert list(Project([base, heir]).overridden(heir)) == ["saq.job.Job.info"]


@pytest.mark.parametrize(
    "text",
    [
        "def f(stack):\n    stack._parse()",
        "class A:\n    def f(self):\n        self._parse()",
        f"class A:\n    def _parse(self): ...\ndef f(a):\n    a._parse()  # noqa: {PRIVATE}",
    ],
)
def test_a_private_name_that_nobody_defines_is_found(text: str) -> None:
    found = source(text)

    assert Project([found]).unexplained(found, set())
    assert not Project([found]).unexplained(found, {"moto.models.Stack._parse"})


def test_a_part_that_has_changed_is_named() -> None:
    before, after = row("saq.Job.x", "`(self)`", "`service`"), row("saq.Job.x", ABSENT, "`service`")

    (found,) = differences(before, after)

    assert found.startswith("saq.Job.x: ")
    assert ABSENT in found


def test_a_part_that_is_gone_is_not_there() -> None:
    gone = ["saq.job.Job.gone", "saq.gone.Job", "moto.ecs.models.Gone", "saq/gone.py"]

    assert {described(each) for each in gone} == {ABSENT}


@pytest.mark.parametrize("asked", ["saq>=0.26", "saq<0.26", "saq>=0.27,<0.28"])
def test_a_wrong_bound_is_found(asked: str) -> None:
    assert wrong_bounds(Requirement(asked), "0.26.4")
