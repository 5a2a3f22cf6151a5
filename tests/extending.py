"""The domains that docs/extending.md shows, as files of a project."""

import re
from pathlib import Path

from tests.agreement.test_docs import OF_DOMAINS, blocks

DOMAIN = re.compile(r"(?:service|stacks)/domain/(\w+)")


def write(project: Path, *domains: str) -> None:
    """The files of some of them into a project, with the packages that they are in."""
    for block in blocks("python"):
        if block.page == OF_DOMAINS:
            assert block.file, f"{block.page}:{block.line} says nowhere where it goes"
            found = DOMAIN.match(block.file)
            assert found, block.file
            if found[1] in domains:
                _write(project / block.file, block.text)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    for folder in path.parents:
        if folder.name == "domain":
            break
        (folder / "__init__.py").touch()
