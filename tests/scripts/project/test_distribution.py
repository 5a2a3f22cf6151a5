"""What a project has of Moorage: every file is classified, and what it has stands by itself."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.project.distribution import Parts, files, write
from scripts.project.locks import YOURS
from tests.conftest import ROOT

OURS = {"tests", "dev", "scripts", "service", "stacks"}
MODULE = re.compile(r"""["'](tests(?:\.\w+)+)["':]""")  # a plugin, or a program of a process
PARTS = Parts.read(ROOT)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of this release as a project has them."""
    folder = tmp_path_factory.mktemp("project")
    write(ROOT, folder)
    return folder


def test_every_file_has_a_line_that_says_whether_a_project_gets_it() -> None:
    assert [str(file) for file in files(ROOT) if PARTS.line_of(file) is None] == []


def test_every_line_is_about_a_file() -> None:
    used = {PARTS.line_of(file) for file in files(ROOT)}
    assert set(PARTS.kinds) - used == set()


def test_a_file_that_nobody_has_thought_of_stays_out() -> None:
    assert PARTS.line_of(Path("notes.txt")) is None
    assert not PARTS.has(Path("notes.txt"))
    assert not PARTS.has(Path("tests/faults/new.py"))
    assert PARTS.has(Path("scripts/commands/new.py"))


def imported(file: Path) -> Iterator[str]:
    """The modules of ours that a file names."""
    text = file.read_text("utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
    yield from MODULE.findall(text)


def test_what_a_project_has_imports_nothing_that_it_has_not(project: Path) -> None:
    missing = {
        (str(file), module)
        for file in files(project)
        if file.suffix == ".py"
        for module in imported(project / file)
        if module.partition(".")[0] in OURS
        and not (project / (path := module.replace(".", "/"))).is_dir()
        and not (project / f"{path}.py").is_file()
    }
    assert missing == set()


def test_every_link_of_its_pages_leads_to_a_page_that_it_has(project: Path) -> None:
    broken = [
        (str(file), target)
        for file in files(project)
        if file.suffix == ".md"
        for target in re.findall(
            r"\]\(([^)\s#]+)", re.sub(r"(?s)```.*?```", "", text(project, file))
        )
        if ":" not in target and not (project / file.parent / target).exists()
    ]
    assert broken == []


def text(folder: Path, file: Path) -> str:
    return (folder / file).read_text("utf-8")


def test_its_pages_say_nothing_that_is_for_the_kit_alone(project: Path) -> None:
    page = text(project, Path("docs/moorage.md"))
    assert "make bench" not in page
    assert "make faults" not in page
    assert "kit only" not in page


def test_the_lines_of_a_project_s_own_dependencies_are_there_and_empty() -> None:
    blocks = YOURS.findall((ROOT / "pyproject.toml").read_text())
    assert blocks == [""] * 4
