"""An image that this machine cannot build is found before anybody waits for it."""

import subprocess
from pathlib import Path
from platform import machine

import pytest

from scripts.preflight.image_platform import why_not_buildable
from tests.conftest import ROOT


@pytest.fixture
def builder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program in the place of docker."""
    file = tmp_path / "builder"
    monkeypatch.setenv("CDK_DOCKER", str(file))
    return file


def answers(builder: Path, script: str) -> None:
    builder.write_text(f"#!/bin/sh\n{script}\n")
    builder.chmod(0o755)


@pytest.mark.parametrize(("said", "wanted"), [("aarch64", "arm64"), ("x86_64", "x86_64")])
def test_its_own_platform_can_be_built(builder: Path, said: str, wanted: str) -> None:
    answers(builder, f"echo {said}")
    assert why_not_buildable(wanted) == ""


@pytest.mark.parametrize(
    ("said", "wanted", "file"),
    [("x86_64", "arm64", "qemu-aarch64"), ("aarch64", "x86_64", "qemu-x86_64")],
)
def test_another_platform_needs_an_emulator(
    builder: Path, tmp_path: Path, said: str, wanted: str, file: str
) -> None:
    answers(builder, f"echo {said}")
    problem = why_not_buildable(wanted, emulators=tmp_path)
    assert "exec format error" in problem
    assert "cpu_architecture" in problem
    assert "--install" in problem
    (tmp_path / file).write_text("disabled\n")
    assert why_not_buildable(wanted, emulators=tmp_path)
    (tmp_path / file).write_text("enabled\ninterpreter /usr/bin/qemu\n")
    assert why_not_buildable(wanted, emulators=tmp_path) == ""


def test_a_builder_that_is_not_there_or_does_not_work_is_named(builder: Path) -> None:
    assert "is not installed" in why_not_buildable("arm64")
    answers(builder, "echo 'Cannot connect to the daemon' >&2; exit 1")
    assert "Cannot connect to the daemon" in why_not_buildable("arm64")


def test_a_builder_without_that_question_builds_for_this_machine(
    builder: Path, tmp_path: Path
) -> None:
    answers(builder, "echo 'template: can not evaluate field Architecture' >&2; exit 1")
    own, other = ("arm64", "x86_64") if machine() in ("arm64", "aarch64") else ("x86_64", "arm64")
    assert why_not_buildable(own, emulators=tmp_path) == ""
    assert why_not_buildable(other, emulators=tmp_path)


@pytest.mark.parametrize(
    "arguments",
    [["--platform", "linux/nosuch"], ["--platform=linux/nosuch/v8"],
     ["--pull", "--platform", "linux/amd64,linux/nosuch"]],
)  # fmt: skip
def test_make_image_asks_before_it_builds(tmp_path: Path, arguments: list[str]) -> None:
    docker = tmp_path / "docker"
    docker.write_text(
        f"#!/bin/sh\ncase $1 in info) echo x86_64;; *) touch {tmp_path}/built;; esac\n"
    )
    docker.chmod(0o755)

    done = subprocess.run(
        ["/bin/sh", "dev/image.sh", *arguments],
        cwd=ROOT, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip

    assert done.returncode == 1
    assert "exec format error" in done.stderr
    assert not (tmp_path / "built").exists()
