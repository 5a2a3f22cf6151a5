"""Every file has the line ends it was committed with, whatever git is told on a machine."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project import files

AS_THEY_ARE = "tests/domain/feeds/samples/"  # what a parser is fed


def test_no_file_has_line_ends_that_a_shell_does_not_read() -> None:
    found = [
        str(each)
        for each in files()
        if not str(each).startswith(AS_THEY_ARE) and b"\r\n" in (ROOT / each).read_bytes()
    ]

    assert found == []


def test_the_project_says_which_it_has() -> None:
    lines = (ROOT / ".gitattributes").read_text().splitlines()

    assert "* text=auto eol=lf" in lines


HAS_GIT = shutil.which("git") is not None


@pytest.mark.skipif(not HAS_GIT, reason="without git nothing is cloned")
@pytest.mark.parametrize("setting", ["true", "input", "false"])
def test_a_clone_has_them_whatever_git_is_told(tmp_path: Path, setting: str) -> None:
    source = tmp_path / "source"
    named = [each for each in files() if each.suffix in {".sh", ".xml"} or each.name == "Makefile"]
    for each in [Path(".gitattributes"), *named]:
        (source / each).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / each, source / each)

    def git(*arguments: str) -> None:
        own = ["-c", "user.name=x", "-c", "user.email=x", "-c", f"core.autocrlf={setting}"]
        subprocess.run(["git", *own, *arguments], cwd=source, check=True, capture_output=True)

    git("init", "-q")
    git("add", "--all")
    git("commit", "-q", "-m", "all")
    git("clone", "-q", "-c", f"core.autocrlf={setting}", str(source), str(tmp_path / "clone"))

    for each in named:
        assert (tmp_path / "clone" / each).read_bytes() == (ROOT / each).read_bytes()
