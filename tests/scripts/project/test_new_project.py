"""`moor new`: a repository of this release, with the user's files and without the kit's own."""

import os
import re
from pathlib import Path

import pytest

from scripts.cli import main
from scripts.errors import RefusedError, UsageError
from scripts.project.git import Git
from scripts.project.new_project import address_of, create, examples
from scripts.project.release_commit import last_release
from scripts.release import release
from tests.conftest import ROOT
from tests.scripts.project.small_kit import Kit


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project of this very checkout, without some of its examples."""
    folder = tmp_path_factory.mktemp("projects") / "shop"
    left_out = [name for name in ("feeds", "search") if name in examples(ROOT)]
    create(ROOT, folder, app="shop", without=left_out)
    return folder


def test_it_is_a_repository_with_everything_committed(shop: Path) -> None:
    git = Git(shop)
    assert git.run("status", "--porcelain", "--ignored") == ""
    assert git.run("branch", "--show-current") == "main"
    assert git.run("log", "--format=%s").splitlines() == ["Start shop", f"Moorage {release()}"]
    assert last_release(git).release == release()


def test_it_has_the_user_s_files_and_none_for_the_kit_s_developers(shop: Path) -> None:
    assert (shop / "README.md").read_text().startswith("# shop\n")
    assert 'app_name = "shop"' in (shop / "stages.toml").read_text()
    assert (shop / "docs/moorage.md").is_file()
    assert os.access(shop / "dev/setup.sh", os.R_OK)
    for gone in (
        "tests/faults", "tests/benchmarks", "tests/twin", "dev/kit.mk", "CHANGELOG.md",
        "service/domain/feeds", "tests/domain/search", "requirements-bench.lock",
    ):  # fmt: skip
        assert not (shop / gone).exists(), gone


def test_its_page_names_what_is_there(shop: Path) -> None:
    page = (shop / "README.md").read_text()
    for target in re.findall(r"\]\(([^)]+)\)", page):
        assert (shop / target).is_file(), target
    targets = set(re.findall(r"^([a-z-]+):", (shop / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"make ([a-z]+)\b", page)) - {"a"} <= targets
    assert "$app" not in page


def test_what_is_wrong_is_said_at_once_and_nothing_is_made(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "kit")
    with pytest.raises(UsageError) as caught:
        create(kit.folder, tmp_path / "shop", app="My Shop", without=["feed"])
    assert "--without feed: no such example; there are email, feeds" in str(caught.value)
    assert "--app" in str(caught.value)
    assert not (tmp_path / "shop").exists()


def test_a_folder_that_is_taken_is_left_alone(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "kit")
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/mine").touch()
    with pytest.raises(RefusedError, match="not empty"):
        create(kit.folder, tmp_path / "shop", app="shop")
    assert (tmp_path / "shop/mine").exists()
    with pytest.raises(RefusedError, match="Moorage's own folder"):
        create(kit.folder, kit.folder / "shop", app="shop")


def test_a_folder_that_cannot_be_filled_is_empty_again(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "kit")
    kit.write("scripts/project/distribution.py", "raise SystemExit('no')")
    (tmp_path / "shop").mkdir()
    with pytest.raises(Exception, match="cannot be read"):
        create(kit.folder, tmp_path / "shop", app="shop")
    assert list((tmp_path / "shop").iterdir()) == []


def test_a_project_is_not_made_of_a_project(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "kit")
    create(kit.folder, tmp_path / "shop", app="shop")
    with pytest.raises(RefusedError, match="a project already"):
        create(tmp_path / "shop", tmp_path / "second", app="second")


def test_where_the_kit_came_from_is_kept_without_a_password(tmp_path: Path) -> None:
    kit = Kit.make(tmp_path / "kit")
    git = Git(kit.folder)
    assert address_of(kit.folder) is None
    git.run("init", "--quiet")
    git.run("remote", "add", "origin", "https://ada:secret@forge.example/moorage.git")
    create(kit.folder, tmp_path / "shop", app="shop")
    shop = Git(tmp_path / "shop")
    assert last_release(shop).source == "https://forge.example/moorage.git"
    assert "secret" not in shop.run("log", "--format=%B")
    git.run("remote", "set-url", "origin", "/home/ada/moorage")  # of no use to anybody else
    assert address_of(kit.folder) is None


def test_an_author_that_git_does_not_know_is_no_hindrance(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kit = Kit.make(tmp_path / "kit")
    for name in ("GIT_CONFIG_GLOBAL", "GIT_CONFIG_SYSTEM"):
        monkeypatch.setenv(name, os.devnull)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("EMAIL", "")
    create(kit.folder, tmp_path / "shop", app="shop")
    assert Git(tmp_path / "shop").run("log", "-1", "--format=%s") == "Start shop"


def test_the_command_refuses_a_folder_within_the_kit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", str(ROOT / "tests/shop")]) == 8
    assert "Moorage's own folder" in capsys.readouterr().err
