"""The stand-in for docker, called as the CDK calls it."""

import os
import subprocess
from pathlib import Path

import pytest

from scripts.host.pids import birth
from scripts.twin.client.shell import write_docker
from scripts.twin.client.state import Twin, docker_file, folder


@pytest.fixture
def twin(tmp_path: Path) -> Twin:
    """This process, as if it were a twin."""
    home = tmp_path / "with space"
    images = folder(home) / "images"
    images.mkdir(parents=True)
    twin = Twin(
        home=home, account="123456789012", region="us-east-1", endpoint="http://localhost:1",
        access_key="unused", secret_key="unused", url="", agent_url="",
        images=images, python=Path(), postgres_port=0,
        release="0", pid=os.getpid(), started=birth(os.getpid()) or "",
    )  # fmt: skip
    twin.save()
    write_docker(home)
    return twin


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """An asset, as the CDK stages it."""
    (tmp_path / "asset" / "service").mkdir(parents=True)
    (tmp_path / "asset" / "service" / "__main__.py").write_text("code")
    (tmp_path / "asset" / "requirements.lock").write_text("lock")
    return tmp_path / "asset"


def docker(twin: Twin, folder: Path, *arguments: str) -> int:
    done = subprocess.run(
        [docker_file(twin.home), *arguments], cwd=folder, capture_output=True, check=False
    )
    return done.returncode


def test_a_built_image_is_the_code_under_its_tag(twin: Twin, context: Path) -> None:
    build = ("build", "--tag", "cdkasset-1", "--platform", "linux/arm64")
    assert docker(twin, context, "inspect", "cdkasset-1") != 0
    assert docker(twin, context, *build, "--file", "service/Dockerfile", ".") == 0
    assert docker(twin, context, "inspect", "cdkasset-1") == 0

    assert docker(twin, context, "tag", "cdkasset-1", "localhost:5000/assets:abc") == 0

    assert (twin.images / "abc" / "service" / "__main__.py").read_text() == "code"
    assert (twin.images / "abc" / "requirements.lock").read_text() == "lock"


def test_a_build_that_fails_leaves_no_half_of_an_image(twin: Twin, context: Path) -> None:
    (context / "requirements.lock").unlink()

    assert docker(twin, context, "build", "--tag", "cdkasset-1", ".") != 0

    assert list(twin.images.iterdir()) == []


def test_what_the_cdk_does_not_ask_for_is_refused(twin: Twin, context: Path) -> None:
    assert docker(twin, context, "run", "moorage:local") != 0


def test_without_a_twin_it_says_what_starts_one(twin: Twin, context: Path) -> None:
    (folder(twin.home) / "state.json").unlink()

    done = subprocess.run(
        [docker_file(twin.home), "inspect", "x"], capture_output=True, text=True, check=False
    )

    assert done.returncode == 1
    assert "moor up" in done.stderr
