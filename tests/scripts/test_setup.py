"""`make setup` on machines where it cannot work, and `make` itself."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.scripts.conftest import ROOT

LOCKS = ["requirements.lock", "requirements-dev.lock", "requirements-checkov.lock"]
PYTHONS = ["python3.13", "python3.12", "python3.11", "python3"]


def run_setup(folder: Path, python: str) -> "subprocess.CompletedProcess[str]":
    """`make setup` where every Python on PATH is the script `python`."""
    programs = folder / "bin"
    programs.mkdir()
    for name in PYTHONS:
        (programs / name).write_text(python)
        (programs / name).chmod(0o755)
    (folder / "requirements-dev.lock").write_text("")
    return subprocess.run(
        ["/bin/sh", ROOT / "scripts" / "setup.sh", "1.0"],
        cwd=folder,
        env={"PATH": f"{programs}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_machine_without_a_python_that_works_is_told_so(tmp_path: Path) -> None:
    # As a version manager's name with no version behind it.
    result = run_setup(tmp_path, "#!/bin/sh\nexit 127\n")

    assert result.returncode != 0
    assert "no Python 3.11 or newer was found" in result.stderr
    assert "PYTHON=" in result.stderr


def test_a_python_without_ensurepip_is_told_which_package_has_it(tmp_path: Path) -> None:
    result = run_setup(
        tmp_path,
        "#!/bin/sh\n"
        'case "$2" in *ensurepip*) exit 1;; esac\n'
        'case "$2" in *print*) echo 3.12;; esac\n',
    )

    assert result.returncode != 0
    assert "apt-get install python3.12-venv" in result.stderr
    assert not (tmp_path / ".venv").exists()


def test_make_alone_lists_every_command() -> None:
    listed = subprocess.run(["make"], cwd=ROOT, capture_output=True, text=True, check=True).stdout

    named = set(re.findall(r"^  make (\S+)", listed, re.MULTILINE))
    assert named == {
        *("setup", "up", "db", "api", "worker", "test", "synth", "diff", "faults", "bench"),
        *("checkov", "check", "fmt", "image", "image-check", "rds-ca", "lock", "clean"),
    }


def pins(lock: str) -> dict[str, list[Requirement]]:
    lines = re.findall(r"^[a-z0-9][^\\\n]*", (ROOT / lock).read_text(), re.MULTILINE)
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        pin = Requirement(line)
        found.setdefault(canonicalize_name(pin.name), []).append(pin)
    return found


def declared() -> list[Requirement]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = [entry for group in project["dependency-groups"].values() for entry in group]
    lines = [*project["project"]["dependencies"], *groups]
    return [Requirement(line) for line in lines if isinstance(line, str)]


@pytest.mark.parametrize("lock", LOCKS)
def test_no_lock_names_a_host(lock: str) -> None:
    text = (ROOT / lock).read_text()

    assert "://" not in text
    assert "index" not in text
    assert not (ROOT / "uv.lock").exists()


@pytest.mark.parametrize("lock", LOCKS)
def test_every_locked_package_has_a_hash(lock: str) -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", (ROOT / lock).read_text().strip())

    assert [block for block in blocks if "--hash=sha256:" not in block] == []


def test_what_is_declared_is_locked_to_a_version_it_allows() -> None:
    locked = pins("requirements-checkov.lock")
    locked |= pins("requirements-bench.lock") | pins("requirements-dev.lock")

    for requirement in declared():
        for pin in locked[canonicalize_name(requirement.name)]:
            version = next(iter(pin.specifier)).version
            assert requirement.specifier.contains(version), f"{requirement}: `make lock`"


def test_the_image_runs_what_the_tests_ran() -> None:
    image, tested = pins("requirements.lock"), pins("requirements-dev.lock")

    assert {name: list(map(str, image[name])) for name in image} == {
        name: list(map(str, tested.get(name, []))) for name in image
    }


def diff_of_local(folder: Path) -> "subprocess.CompletedProcess[str]":
    """`make diff STAGE=local` in a folder where everything is set up."""
    command = ["make", "-s", "-f", str(ROOT / "Makefile"), "-o", "setup", "-o", "cdk"]
    return subprocess.run(
        [*command, "diff", "STAGE=local"],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "AWS_ACCESS_KEY_ID": "of-the-user"},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_diff_of_the_local_stage_asks_the_twin_and_never_aws(tmp_path: Path) -> None:
    cdk = tmp_path / "node_modules" / ".bin" / "cdk"
    cdk.parent.mkdir(parents=True)
    cdk.write_text('#!/bin/sh\necho "$1 as $AWS_ACCESS_KEY_ID"\n')
    cdk.chmod(0o755)
    before = diff_of_local(tmp_path)
    assert before.returncode != 0
    assert before.stdout == ""
    assert "the local twin does not run; `make up` starts it" in before.stderr
    env = tmp_path / ".moorage" / "twin" / "env"
    env.parent.mkdir(parents=True)
    env.write_text("export AWS_ACCESS_KEY_ID=of-the-twin\n")
    assert diff_of_local(tmp_path).stdout == "diff as of-the-twin\n"
