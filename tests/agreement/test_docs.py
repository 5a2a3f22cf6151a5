"""What README.md and docs/*.md show runs as it stands, and what they name exists."""

import asyncio
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import click
import pytest

from scripts.commands import COMMANDS, load
from tests.conftest import ROOT

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LANGUAGES = {"", "console", "mermaid", "python", "sql", "toml"}  # one name for each
PYTHON = re.compile(r"^(?:>>> )?(?:import \w|from [\w.]+ import )", re.MULTILINE)
FILE = re.compile(r"`((?:service|stacks|tests)/[\w/]+\.py)`")
OF_DOMAINS = "docs/extending.md"  # whole domains: `tests/extending.py` says who runs them
# A file or folder of the project; in capital letters it is a construct of the CDK's.
PATH = re.compile(
    r"(?<![\w/.:-])((?:service|stacks|scripts|dev|tests|docs)/[a-z0-9_./-]*[a-z0-9_/])(?!\w)"
)
OF_THE_USER = ("service/domain/", "stacks/domain", "tests/domain")
# Runs each block that is no file as the body of a test, with `queue` and what it enqueues run.
SNIPPETS = """\
import ast
import inspect
from pathlib import Path

import pytest

pytest_plugins = ["service.testing"]
FOLDER = Path(__file__).parent / "snippets"


@pytest.mark.parametrize("name", sorted(path.name for path in FOLDER.iterdir()))
async def test_snippet(name, pg_queue, run_jobs):
    source = (FOLDER / name).read_text()
    code = compile(source, name, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    running = eval(code, {"queue": pg_queue})
    if inspect.isawaitable(running):
        await running
    await run_jobs(raises=True)
"""


@dataclass(frozen=True)
class Block:
    """A fenced block; `file` is where the text before it says that it goes."""

    page: str
    line: int
    language: str
    text: str
    file: str | None


def blocks(language: str) -> list[Block]:
    """Of all pages, in their order."""
    found = []
    for page, name in zip(PAGES, NAMES, strict=True):
        whole = page.read_text()
        end = 0
        for block in BLOCK.finditer(whole):
            before = whole[end : block.start()].strip().rpartition("\n\n")[2]
            files = FILE.findall(before)
            end = block.end()
            if block[1] == language:
                line = whole.count("\n", 0, block.start()) + 1
                found.append(Block(name, line, block[1], block[2], files[-1] if files else None))
    return found


def unread(page: str) -> list[str]:
    """Fences of a page that begin no block as `blocks` reads it, and Python under another name."""
    found = re.findall(r"^.*(?:```|~~~).*$", re.sub(BLOCK, "", page), re.MULTILINE)
    for block in BLOCK.finditer(page):
        if block[1] not in LANGUAGES or (block[1] != "python" and PYTHON.search(block[2])):
            found.append(block[0])
    return found


def examples(page: str) -> Iterator[list[str]]:
    """The words of each `moor` command that the page shows, `moor` left out."""
    text = (ROOT / page).read_text().replace("\\|", "|")
    shown = re.findall(r"^\$ (moor .*)$", text, re.MULTILINE)
    named = re.findall(r"`(moor [^`]*)`", re.sub(BLOCK, "", text))
    for command in shown + named:
        lexer = shlex.shlex(re.sub(r"[\[\]]", "", command), posix=True, punctuation_chars=";")
        lexer.whitespace_split = True
        words = list(lexer)[1:]
        ends = [words.index(end) for end in ("--", ";", "|") if end in words]
        yield words[: min(ends, default=len(words))]


def is_known(words: list[str]) -> str | None:
    """Why there is no such command or option; None where there is."""
    first, *rest = words
    if first.startswith("-"):
        return (
            None
            if first in {"--help", "--version", "--install-completion"}
            else f"no option {first}"
        )
    names = [each.strip(",") for each in first.split("|")]
    if unknown := [name for name in names if name not in COMMANDS and name != "COMMAND"]:
        return f"no command {unknown[0]}"
    if first == "COMMAND":
        return None
    command = load(names[0])
    if isinstance(command, click.Group) or hasattr(command, "commands"):
        if not rest:
            return None
        for name in rest[0].split("|"):
            if name not in command.commands:
                return f"no command {names[0]} {name}"
        command, rest = command.commands[rest[0].split("|")[0]], rest[1:]
    options = {"--help"}.union(
        *(parameter.opts + parameter.secondary_opts for parameter in command.params)
    )
    wrong = [word for word in rest if re.match(r"--?[a-z]", word) and word not in options]
    return f"{' '.join(words)}: no option {wrong[0]}" if wrong else None


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project with every file that the pages show, and their other blocks beside it."""
    tree = tmp_path_factory.mktemp("docs")
    shutil.copytree(
        ROOT / "service", tree / "service", ignore=shutil.ignore_patterns("__pycache__")
    )
    shutil.copy(ROOT / "pyproject.toml", tree)
    snippets = tree / "tests/snippets"
    snippets.mkdir(parents=True)
    (tree / "tests/test_snippets.py").write_text(SNIPPETS)
    for block in blocks("python"):
        if block.page == OF_DOMAINS:
            continue
        if block.file is None:
            name = f"{block.page.replace('/', '-')}-{block.line}"
            (snippets / name).write_text(block.text)
            continue
        file = tree / block.file
        assert not file.exists(), f"{block.page}:{block.line}: {block.file} is there already"
        for folder in (file.parent, file.parent.parent):
            folder.mkdir(parents=True, exist_ok=True)
            if block.file.startswith("service/domain/") and folder.name != "domain":
                (folder / "__init__.py").touch()
        file.write_text(block.text)
    return tree


@pytest.mark.parametrize("page", NAMES)
def test_every_block_is_read(page: str) -> None:
    assert unread((ROOT / page).read_text()) == []


@pytest.mark.parametrize(
    "block",
    [
        "- a step\n\n  ```python\n  import os\n  ```\n",
        "```py\nimport os\n```\n",
        "```python title\nimport os\n```\n",
        "~~~python\nimport os\n~~~\n",
        "```\nfrom service.queue import task\n```\n",
        "```console\n>>> import os\n```\n",
    ],
)
def test_a_block_that_no_test_would_run_is_found_out(block: str) -> None:
    assert unread(f"```python\nimport os\n```\n\n{block}") != []


def test_every_python_block_runs(tree: Path) -> None:
    assert len(blocks("python")) > 10
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=tree,
        env={"PATH": os.environ["PATH"]},  # noqa: TID251
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    snippets = len(list((tree / "tests/snippets").iterdir()))
    tests = len([b for b in blocks("python") if b.file and b.file.startswith("tests/")])
    assert f"{snippets + tests} passed" in run.stdout


def test_every_statement_in_sql_is_one(database: str) -> None:
    async def run() -> int:
        connection = await asyncpg.connect(database)
        try:
            for block in blocks("sql"):
                await connection.execute(block.text)
        finally:
            await connection.close()
        return len(blocks("sql"))

    assert asyncio.run(run()) >= 2


@pytest.mark.parametrize("page", NAMES)
def test_every_moor_command_and_option_it_names_exists(page: str) -> None:
    assert [why for words in examples(page) if words and (why := is_known(words))] == []


def test_commands_and_options_that_do_not_exist_are_found_out() -> None:
    for words in ("jump", "jobs jump", "jobs retry --fail", "status --stag dev", "jobs list|lst"):
        assert is_known(words.split()), words
    assert is_known(["jobs", "retry", "--failed", "--task", "x"]) is None


def test_commands_are_found_in_blocks_and_in_the_text() -> None:
    found = [" ".join(words) for words in examples("docs/operations.md")]
    assert "schedules list" in found
    assert "scale worker --max 8" in found


@pytest.mark.parametrize("page", NAMES)
def test_every_relative_link_leads_somewhere(page: str) -> None:
    text = re.sub(BLOCK, "", (ROOT / page).read_text())
    broken = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("page", NAMES)
def test_every_file_it_names_exists(page: str) -> None:
    shown = {block.file for block in blocks("python") if block.page == page}
    named = set(PATH.findall((ROOT / page).read_text())) - shown
    missing = [
        each for each in named if not each.startswith(OF_THE_USER) and not (ROOT / each).exists()
    ]
    assert missing == []


def test_a_file_that_is_not_there_is_found_out() -> None:
    text = "`scripts/nowhere.py`, [page](docs/doctor.md), x<br/>stacks/config/stage.py<br/>"
    assert PATH.findall(text) == ["scripts/nowhere.py", "docs/doctor.md", "stacks/config/stage.py"]


def anchors(file: Path) -> set[str]:
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
