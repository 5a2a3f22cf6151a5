"""A worked example is three places, and nothing else notices when they are deleted."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.project import copy

EXAMPLES = ["email", "example", "feeds", "reports", "search"]
OF_COPY = {"__init__.py", *EXAMPLES}
DOMAINS = ("service", "domain")
LEFT = [name for name in EXAMPLES if (ROOT / "service/domain" / name).is_dir()]  # some may be gone

PROCESSES = """
from pydantic import SecretStr
from service.api.app import create_app
from service.contract import ProcessName
from service.processes.worker_process import create_worker
from service.queue import create_queue, discover
from service.settings import settings_of

registry = discover()
for process in (ProcessName.API, ProcessName.WORKER):
    url = SecretStr("postgresql:///none")  # nothing connects before it is started
    settings = settings_of(process)(stage="local", database_url=url)
    queue = create_queue(settings, registry)
    if process is ProcessName.API:
        paths = create_app(settings, registry, queue).openapi_schema.paths
    else:
        create_worker(settings, registry, queue)
print(*registry.tasks, *paths)
"""
# What a team changes first: the app's name, a stage more, a task that runs by itself.
SCHEDULED = """
from service.queue import Context, scheduled_task


@scheduled_task(every="1 day")
async def count_the_till(ctx: Context) -> None: ...
"""
OF_THE_KIT = (  # some of each kind
    "tests/service/queue/tasks/test_registry.py",
    "tests/service/api/test_api_jobs.py",
    "tests/scripts/local/test_local.py::test_api_and_worker_take_a_job_from_its_request_to_its_end",
    "tests/twin/client/test_inherited.py",
)
LOCAL_STAGE = """
from tests.stacks.templates import deployed, stage_of
local = deployed(stage_of("local"))
print(local.one("AWS::S3::Bucket", "Bucket").get("LifecycleConfiguration.Rules"))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the project with the examples as its only domains, compiled as this one is."""
    folder = tmp_path_factory.mktemp("project")
    copy(folder, has=lambda file: file.parts[:2] != DOMAINS or file.parts[2] in OF_COPY)
    return folder


@pytest.fixture
def checkout(project: Path, tmp_path: Path) -> Path:
    """A copy to delete from."""
    return Path(shutil.copytree(project, tmp_path / "checkout"))


def delete(checkout: Path, name: str) -> None:
    for folder in (checkout / "service/domain" / name, checkout / "tests/domain" / name):
        shutil.rmtree(folder, ignore_errors=True)  # a deleted one may have left its cache
    (checkout / "stacks/domain" / f"{name}.py").unlink(missing_ok=True)


def python(checkout: Path, *arguments: str) -> str:
    """What it prints; it has to end well."""
    run = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def started(checkout: Path) -> set[str]:
    """The tasks and paths of an API and a worker, which start with a line of log."""
    return set(python(checkout, "-c", PROCESSES).splitlines()[-1].split())


@pytest.mark.parametrize("name", LEFT)
def test_api_and_worker_start_without_one_example(checkout: Path, name: str) -> None:
    delete(checkout, name)
    assert "/api/v1/jobs" in started(checkout)


def test_everything_stands_without_any_example(checkout: Path) -> None:
    before = started(checkout)
    for name in EXAMPLES:
        delete(checkout, name)
    after = started(checkout)
    assert {each for each in after if not each.startswith("/")} == set(), "no task is left"
    assert not LEFT or after < before
    assert "results/reports/" not in python(checkout, "-c", LOCAL_STAGE)
    listed = python(checkout, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    assert "tests/service/" in listed
    assert not [name for name in EXAMPLES if f"tests/domain/{name}/" in listed]


def test_the_kit_s_own_tests_pass_in_a_project_with_no_example(checkout: Path) -> None:
    for name in EXAMPLES:
        delete(checkout, name)
    stages = checkout / "stages.toml"
    renamed = re.sub(r'(?m)^app_name = ".*"$', 'app_name = "shop"', stages.read_text())
    stages.write_text(f"{renamed}\n[staging]\nallow_http = true\n")
    jobs = checkout / "service/domain/till/jobs"
    jobs.mkdir(parents=True)
    for package in (jobs, jobs.parent):
        (package / "__init__.py").touch()
    (jobs / "scheduled.py").write_text(SCHEDULED)
    python(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OF_THE_KIT)
