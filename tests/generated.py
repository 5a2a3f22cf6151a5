"""The parts of the pages that are made of the code; `make docs` writes them anew.

A part stands between two comments, and a test beside what it is made of compares the two; what is
no page is made as a whole.
"""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from tests.conftest import ROOT

COMMAND = "make docs"
# By the page that holds it: who makes it, loaded when it is written.
PARTS = {
    "README.md": "tests.scripts.cost.cost_of_dev:sentence",
    "docs/from-copilot.md": "tests.scripts.adopt.fields:tables",
    "docs/operators.md": "tests.agreement.operators:tables",
    "docs/private-parts.md": "tests.agreement.private_parts:table",
    "docs/queue-api.md": "tests.agreement.queue_reference:page",
    "docs/security.md": "tests.stacks.scanners.acknowledgements:table",
    "docs/stages.md": "tests.stacks.config.keys:tables",
}
WHOLE = {"stages.schema.json": "stacks.config.schema:as_json"}
BEGIN, END = f"<!-- written by `{COMMAND}` -->\n", "<!-- end -->\n"


def written(page: str) -> str:
    """The part as the page has it."""
    return _split(ROOT / page)[1]


def write(page: str) -> None:
    """The part as it is today, into the page."""
    before, _, after = _split(ROOT / page)
    (ROOT / page).write_text(f"{before}{BEGIN}{_make(PARTS[page])}{END}{after}", "utf-8")


def _make(place: str) -> str:
    module, _, name = place.partition(":")
    make: Callable[[], str] = getattr(import_module(module), name)
    return make()


def _split(page: Path) -> tuple[str, str, str]:
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    part, end, after = rest.partition(END)
    assert begin, f"{page} has no line {BEGIN}"
    assert end, f"{page} has no line {END}"
    return before, part, after


if __name__ == "__main__":
    for each in PARTS:
        write(each)
    for each, place in WHOLE.items():
        (ROOT / each).write_text(_make(place), "utf-8")
