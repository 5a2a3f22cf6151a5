"""The project as it stands, on the local twin: the CDK deploys it, it answers, it runs a job.

A copy of it has one domain more, whose task does nothing. The project's own twin is left alone.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from scripts.twin.client.state import Twin
from service.contract import LOCAL_STAGE
from stacks.config.read_stage import read_stage
from tests.conftest import ROOT
from tests.ports import free_port
from tests.project import copy

DOMAIN = "moorage_smoke"
TASKS = """
from service.queue import Context, task


@task(timeout=20)
async def moorage_smoke(ctx: Context, *, number: int) -> int:
    return number + 1
"""
UP_SECONDS, JOB_SECONDS = 240, 60


def moor(folder: Path, *arguments: str, **variables: str) -> str:
    """What `moor …` prints there; it has to end well."""
    kept = {"PATH", "HOME", "LANG"}
    kept |= {secret.name for secret in read_stage(LOCAL_STAGE).secrets}  # made-up ones, of a test
    own = {name: value for name, value in os.environ.items() if name in kept}  # noqa: TID251
    done = subprocess.run(
        [sys.executable, "-m", "scripts.cli", *arguments],
        cwd=folder, env={**own, "NO_COLOR": "1", **variables}, text=True, capture_output=True,
        stdin=subprocess.DEVNULL, check=False, timeout=UP_SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"moor {' '.join(arguments)}: {done.stdout}{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def deployed(scratch: Path) -> Iterator[Path]:
    """A copy of the project, up."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    copy(folder)
    for made in (".venv", "node_modules"):
        (folder / made).symlink_to(ROOT / made)
    jobs = folder / "service/domain" / DOMAIN / "jobs"
    jobs.mkdir(parents=True)
    for package in (jobs, jobs.parent):
        (package / "__init__.py").touch()
    (jobs / "tasks.py").write_text(TASKS)
    try:
        moor(folder, "up", API_PORT=str(free_port()))
        yield folder
    finally:
        moor(folder, "down")


@pytest.fixture(scope="module")
def api(deployed: Path) -> Iterator[httpx.Client]:
    """Its API, with the key that `. .moorage/twin/env` gives."""
    twin = Twin.load(deployed / ".moorage")
    assert twin is not None, "the twin does not run"
    key = subprocess.run(
        ["sh", "-c", '. .moorage/twin/env && printf %s "$API_KEY"'],
        cwd=deployed, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    with httpx.Client(base_url=twin.url, headers={"X-API-Key": key}, timeout=30) as client:
        yield client


def test_the_project_answers(api: httpx.Client) -> None:
    assert api.get("/health/ready").status_code == 200
    assert api.get("/schema/openapi.json").raise_for_status().json()["paths"]


def test_a_worker_runs_a_job(api: httpx.Client) -> None:
    body = {"task": DOMAIN, "payload": {"number": 41}}
    key = api.post("/api/v1/jobs", json=body).raise_for_status().json()["job_id"]
    deadline = time.monotonic() + JOB_SECONDS
    while True:
        job: dict[str, Any] = api.get(f"/api/v1/jobs/{key}").raise_for_status().json()
        if job["status"] == "complete" or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert (job["status"], job["result"]) == ("complete", 42), job


def test_no_process_of_it_has_stopped(deployed: Path) -> None:
    shown = moor(deployed, "status")
    assert "COMPLETED" in shown
    assert "FAILED" not in shown
