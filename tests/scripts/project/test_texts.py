"""What is read of CHANGELOG.md, of the locks and of pyproject.toml."""

import pytest

from scripts.project.changelog import Section, order, sections
from scripts.project.locks import has_own_dependencies, with_others

CHANGELOG = """# Changelog

## 0.10.0

### New

- a console

### Upgrading

- read this

### Mended

- a leak

## 0.9.1 (2026-12-01)

### Upgrading

- and that

## 0.9.0

- old
"""


def test_the_changes_between_two_releases_are_told_in_the_order_of_taking_them() -> None:
    assert sections(CHANGELOG, after="0.9.0", last="0.10.0") == [
        Section("0.9.1", "- and that", ""),
        Section("0.10.0", "- read this", "### New\n\n- a console\n\n### Mended\n\n- a leak"),
    ]


def test_what_is_no_release_is_refused() -> None:
    for word in ("1.0", "v1.0.0", "1.0.0rc1", "latest"):
        with pytest.raises(ValueError, match="is not a release"):
            order(word)


def test_a_lock_keeps_what_the_project_has_locked_beside_it() -> None:
    ours = "a==2 \\\n    --hash=sha256:aa\nb==1 \\\n    --hash=sha256:bb\n"
    before = "a==1 \\\n    --hash=sha256:00\nown==7 ; x\\\n    --hash=sha256:cc\n"
    assert with_others(ours, before) == ours + "own==7 ; x\\\n    --hash=sha256:cc\n"


@pytest.mark.parametrize(
    ("dependencies", "dev", "is_own"),
    [([], [], False), (["stripe>=11"], [], True), ([], ["types-x"], True), (["mypy"], [], True)],
)
def test_own_dependencies_are_those_that_the_release_has_not(
    dependencies: list[str], dev: list[str], is_own: bool
) -> None:
    def pyproject(dependencies: list[str], dev: list[str]) -> str:
        groups = f"[dependency-groups]\ndev = {[*dev, 'mypy']}\n"
        return f"[project]\ndependencies = {['asyncpg', *dependencies]}\n{groups}"

    release = pyproject(["a-new-one"], [])
    assert has_own_dependencies(pyproject(dependencies, dev), release) is is_own
