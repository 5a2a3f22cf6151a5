"""`moor domain`: what it makes fits, what it removes is gone, and wrong names are refused."""

import subprocess
import sys
from pathlib import Path

import pytest

from scripts.cli import main
from scripts.errors import NotFoundError, RefusedError, UsageError
from scripts.project.domains import check_unused, create, find, left_behind, names, remove
from tests.conftest import ROOT

SHORTEST, LONGEST = "a", "an_uncommonly_long_domain_name"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The folders of a project that has no domain."""
    for folder in ("service", "stacks", "tests"):
        (tmp_path / folder / "domain").mkdir(parents=True)
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    return tmp_path


def everything(project: Path) -> set[Path]:
    return {each for each in project.rglob("*") if each.is_file()}


@pytest.mark.parametrize("name", [SHORTEST, "order_lines", LONGEST])
@pytest.mark.parametrize("is_all", [False, True])
def test_a_new_domain_is_written_as_ruff_wants_it(project: Path, name: str, is_all: bool) -> None:
    create(project, name, has_settings=is_all, has_resource=is_all)
    assert names(project) == [name]
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *command, "--no-cache", "."],
            cwd=project, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout


def test_what_is_removed_leaves_no_file_behind(project: Path) -> None:
    before = everything(project)
    create(project, "invoices", has_settings=True, has_resource=True)
    domain = find(project, "invoices")
    check_unused(domain)
    told = "\n".join(left_behind(domain))
    remove(domain)
    assert everything(project) == before
    assert "DROP TABLE IF EXISTS invoices_items;" in told
    assert "owner = 'domain/invoices'" in told


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("Invoices", "a letter first"),
        ("in-voices", "a letter first"),
        ("../invoices", "a letter first"),
        ("_x", "a letter first"),
        ("class", "a word of Python's"),
        ("jobs", "has the route /api/v1/jobs itself"),
        ("a" * 31, "30 characters at most"),
        ("conftest", "tests/domain/conftest.py is there already"),
        ("there", "service/domain/there/ is there already"),
    ],
)
def test_a_wrong_name_is_refused_and_nothing_is_written(
    project: Path, name: str, reason: str
) -> None:
    (project / "tests/domain/conftest.py").touch()
    create(project, "there")
    before = everything(project)
    with pytest.raises(UsageError, match=reason):
        create(project, name)
    assert everything(project) == before


def test_a_domain_that_is_not_there_is_named_with_the_nearest(project: Path) -> None:
    create(project, "invoices")
    with pytest.raises(NotFoundError) as caught:
        find(project, "invoice")
    assert caught.value.hint == "There are: invoices."
    with pytest.raises(NotFoundError):
        find(project, "../domain")


def test_without_a_terminal_to_ask_in_nothing_is_deleted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in names(ROOT)[:1]:
        assert main(["domain", "remove", name]) == 8
        assert f"this would delete service/domain/{name}/" in capsys.readouterr().err
        assert (ROOT / "service/domain" / name).is_dir()


def test_a_domain_that_others_import_stays(project: Path) -> None:
    create(project, "invoices")
    user = project / "service/domain/mail/routes.py"
    user.parent.mkdir()
    user.write_text("from service.domain.invoices.routes import Item\n")
    with pytest.raises(RefusedError, match=r"used by service/domain/mail/routes\.py"):
        check_unused(find(project, "invoices"))
