"""A worked example is three places, and nothing else notices when they are deleted."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.agreement.test_docs import blocks
from tests.conftest import ROOT
from tests.project import copy, files

EXAMPLES = ["email", "example", "feeds", "reports", "search"]
OF_COPY = {"__init__.py", *EXAMPLES}
OFFERED = {"index_content"}  # a task of search, which feeds looks for in the registry
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
CREATED = re.compile(r"\bCREATE TABLE (\w+)")
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


@pytest.fixture(scope="module")
def own(project: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The tasks and paths that are gone without each example: API and worker start without it."""
    whole = started(project)
    found = {}
    for name in LEFT:
        without = tmp_path_factory.mktemp("without") / name
        shutil.copytree(project, without)
        delete(without, name)
        found[name] = whole - started(without)
    return found


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


def domain_of(file: Path) -> str | None:
    """The domain in whose three places the file is; None for the kit's."""
    shared = {"__init__", "conftest", "domain_worker", "first_release"}
    is_in_domain = file.parts[0] in {"service", "stacks", "tests"} and file.parts[1] == "domain"
    name = Path(file.parts[2]).stem if is_in_domain else None
    return None if name in shared else name


def uses(source: str, name: str, words: set[str], tables: set[str]) -> bool:
    """Does the code import that example, or has it a string with its tasks, paths or tables?"""
    if re.search(rf"\.domain(?:\.| import (?:.*\W)?){name}\b", source):
        return True
    said = [rf"(?<![\w/]){re.escape(word)}(?![\w-])" for word in words]
    said += [rf"\b(?:FROM|INTO|UPDATE|JOIN|TABLE)\s+{table}\b" for table in tables]
    said_by = re.compile("|".join(said) or r"\b\B")
    if not said_by.search(source):  # most files are not parsed
        return False
    constants = (
        each.value for each in ast.walk(ast.parse(source)) if isinstance(each, ast.Constant)
    )
    return any(said_by.search(text) for text in constants if isinstance(text, str))


def test_nobody_else_uses_an_example(own: dict[str, set[str]]) -> None:
    """So each set of them can be deleted. A team's own domains may use them."""
    python_files = [file for file in files() if file.suffix == ".py"]
    sources = {str(file): (ROOT / file).read_text("utf-8") for file in python_files}
    ours = {str(file) for file in python_files if domain_of(file) in {None, *EXAMPLES}}
    shown = {f"{each.page}:{each.line}": each.text for each in blocks("python")}
    users = []
    for name in LEFT:
        words = {word.partition("/{")[0] for word in own[name] - OFFERED}
        migrations = (ROOT / "service/domain" / name).glob("migrations/*.sql")
        tables = {table for file in migrations for table in CREATED.findall(file.read_text())}
        its = {str(file) for file in python_files if domain_of(file) == name}
        others = {place: sources[place] for place in ours - its} | shown
        users += [
            f"{place} uses {name}"
            for place, text in others.items()
            if uses(text, name, words, tables)
        ]
    assert users == []


@pytest.mark.parametrize(
    "line",
    [
        "from service.domain.news import store",
        "from service.domain import a, news",
        "import tests.domain.news.server as server",
        "import_module('stacks.domain.news')",
        "queue.enqueue('read_news')",
        "'moor jobs enqueue read_news'",
        "http.get('/api/v1/news/7')",
        "f'/api/v1/news/{7}'",
        "pool.fetch('SELECT * FROM news_items')",
    ],
)
def test_each_way_to_use_an_example_is_seen(line: str) -> None:
    words, tables = {"read_news", "/api/v1/news"}, {"news_items"}
    assert uses(f"def late() -> None:\n    {line}\n", "news", words, tables)
    others = "read_newspaper = '/api/v1/newspaper read_news_again FROM news_items_of'\n"
    assert not uses(others, "news", words, tables)


def test_api_and_worker_start_without_one_example(own: dict[str, set[str]]) -> None:
    assert [name for name, gone in own.items() if not gone or "/api/v1/jobs" in gone] == []


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
    stages.write_text(f"{renamed}\n[stage-of-a-team]\nallow_http = true\n")
    jobs = checkout / "service/domain/till/jobs"
    jobs.mkdir(parents=True)
    for package in (jobs, jobs.parent):
        (package / "__init__.py").touch()
    (jobs / "scheduled.py").write_text(SCHEDULED)
    python(checkout, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OF_THE_KIT)
