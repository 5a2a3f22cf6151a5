"""What the README says is so."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from service.contract import EnvVar
from tests.conftest import ROOT, Processes
from tests.ports import free_port
from tests.sample import copy_project

README = (ROOT / "README.md").read_text()


def test_every_make_command_it_names_exists() -> None:
    files = (ROOT / "Makefile", ROOT / "dev/kit.mk")
    targets = set(re.findall(r"^([a-z]+):", "".join(map(Path.read_text, files)), re.MULTILINE))
    named = set(re.findall(r"`?make ([a-z]+)`", README))
    assert {"up", "test", "check", "db", "api", "worker", "clean"} <= named
    assert named <= targets


def test_every_setting_is_explained() -> None:
    assert [name for name in EnvVar if f"`{name}`" not in README] == []


def test_every_file_it_names_exists() -> None:
    block = README.split("## Where things are")[1].split("```")[1]
    folder = ""
    for line in block.strip().splitlines():
        name = line.split()[0]
        folder = name if not line.startswith(" ") else folder
        path = ROOT / (name if name == folder else f"{folder}{name}")
        assert path.exists() or "<name>" in name, path


@pytest.fixture
def shop(tmp_path: Path, processes: Processes) -> Iterator[httpx.Client]:
    """A project with the README's own domain added, running."""
    tree = tmp_path / "clone"
    copy_project(tree)
    task, routes = re.findall(r"```python\n(.*?)```", README, re.DOTALL)[:2]
    domain = tree / "service/domain/greetings"
    (domain / "jobs").mkdir(parents=True)
    (domain / "__init__.py").touch()
    (domain / "jobs/__init__.py").touch()
    (domain / "jobs/tasks.py").write_text(task)
    (domain / "routes.py").write_text(routes)
    port = str(free_port())
    started = [
        subprocess.Popen(
            [sys.executable, "-m", "service", process], cwd=tree,
            env={
                "STAGE": "local", "DATABASE_URL": processes.dsn, "API_PORT": port,
                "WORKER_HEARTBEAT_FILE": str(tmp_path / "heartbeat"), "DRAIN_SECONDS": "1",
            },
        )
        for process in ("api", "worker")
    ]  # fmt: skip
    try:
        with httpx.Client(base_url=f"http://localhost:{port}") as client:
            yield client
    finally:
        for child in started:
            child.terminate()
        for child in started:
            child.wait(30)


def test_task_and_route_it_shows_work_as_they_stand(shop: httpx.Client) -> None:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            key = shop.post("/signup?user_id=7").raise_for_status().json()["job_id"]
            break
        except httpx.TransportError:
            time.sleep(0.1)
    while (job := shop.get(f"/api/v1/jobs/{key}").json())["status"] != "complete":
        assert time.monotonic() < deadline, job
        time.sleep(0.05)
    assert job["result"] == {"user_id": 7}
