"""`make clean`: everything of the local stage and nothing else."""

from pathlib import Path

import pytest

from scripts.errors import OperatorError
from scripts.host.postgres import Postgres
from scripts.local.clean import HOME, clean
from scripts.terminal.render import Screen
from tests.scripts.conftest import ROOT, execute

SCREEN = Screen({})


def test_clean_is_about_this_checkout() -> None:
    assert HOME == ROOT / ".moorage"


def test_clean_removes_the_data_and_says_so(
    used_home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server = Postgres(used_home)
    server.start()
    server.stop()

    clean(used_home, SCREEN)

    assert not used_home.exists()
    assert f"Removed {used_home}" in capsys.readouterr().out


def test_clean_stops_a_server_that_nobody_uses(used_home: Path) -> None:
    left_behind = Postgres(used_home)
    left_behind.start()
    left_behind._users.release()  # as the kernel does when a user is killed

    clean(used_home, SCREEN)

    assert not left_behind.is_running
    assert not used_home.exists()


def test_clean_removes_nothing_that_is_in_use(used_home: Path) -> None:
    server = Postgres(used_home)
    server.start()

    with pytest.raises(OperatorError, match="in use"):
        clean(used_home, SCREEN)

    assert execute(used_home, "SELECT 42") == 42


def test_clean_of_nothing_is_no_error(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clean(home, SCREEN)

    assert "Nothing to remove" in capsys.readouterr().out


def test_clean_leaves_what_a_link_points_to(home: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("")
    home.symlink_to(elsewhere)

    clean(home, SCREEN)

    assert not home.exists()
    assert (elsewhere / "precious").exists()


def test_clean_leaves_what_a_link_inside_points_to(home: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("")
    home.mkdir()
    (home / "link").symlink_to(tmp_path)

    clean(home, SCREEN)

    assert (tmp_path / "precious").exists()
