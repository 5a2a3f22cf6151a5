"""`service.queue` is all that a task, a route and a test import of the queue, and has a page."""

import ast
from pathlib import Path

import pytest

import service.queue
from scripts.project.domains import create
from tests.agreement.queue_reference import CHAPTERS, page
from tests.agreement.test_docs import blocks
from tests.conftest import ROOT
from tests.generated import COMMAND, written


def rooms(source: str) -> list[str]:
    """What the code imports of the queue in another way than `from service.queue import NAME`."""
    found: list[str] = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found += [each.name for each in node.names]
        elif isinstance(node, ast.ImportFrom):
            found += [f"{node.module}.{each.name}" for each in node.names]
    public = {f"service.queue.{name}" for name in service.queue.__all__}
    return [
        name for name in found if f"{name}.".startswith("service.queue.") and name not in public
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import service.queue.job",
        "from service.queue.job import JobRecord",
        "from service.queue import Context, job",
        "from service.queue import *",
        "from service import queue",  # and then queue.job.JobRecord
        "import service.queue as public",
    ],
)
def test_an_import_of_a_room_is_seen(source: str) -> None:
    assert rooms(f"def late() -> None:\n    {source}\n")


def test_the_pages_import_the_public_api_alone() -> None:
    wrong = {f"{block.page}:{block.line}": rooms(block.text) for block in blocks("python")}

    assert not {place: names for place, names in wrong.items() if names}


@pytest.mark.parametrize("folder", ["service/domain", "tests/domain", "tests/sample_domains"])
def test_domains_and_their_tests_import_the_public_api_alone(folder: str) -> None:
    files = list(Path(ROOT / folder).rglob("*.py"))
    wrong = {str(file.relative_to(ROOT)): rooms(file.read_text("utf-8")) for file in files}

    assert not {place: names for place, names in wrong.items() if names}


def test_a_domain_that_moor_makes_imports_the_public_api_alone(tmp_path: Path) -> None:
    made = create(tmp_path, "till", has_settings=True, has_resource=True)
    code = {name: (tmp_path / name).read_text("utf-8") for name in made if name.endswith(".py")}

    assert [name for name, text in code.items() if "service.queue" in text] != []
    assert {name: wrong for name, text in code.items() if (wrong := rooms(text))} == {}


def test_all_names_every_public_name_and_nothing_else() -> None:
    public = [name for name in vars(service.queue) if not name.startswith("_")]
    given = {
        name
        for name in public
        if getattr(vars(service.queue)[name], "__name__", "") != f"service.queue.{name}"
    }

    assert given == set(service.queue.__all__)


def test_each_name_stands_in_one_chapter_of_the_page() -> None:
    listed = [name for names in CHAPTERS.values() for name in names]

    assert sorted(listed) == sorted(service.queue.__all__)


def test_the_page_says_what_the_docstrings_say() -> None:
    assert written("docs/queue-api.md") == page(), COMMAND
