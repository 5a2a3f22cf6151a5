"""A worked example is three places, and nothing else notices when they are deleted."""

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.agreement.test_docs import blocks
from tests.conftest import ROOT
from tests.project import copy, files
from tests.sample import link_project

EXAMPLES = ["email", "example", "feeds", "reports", "search"]
OFFERED = {"index_content"}  # a task of search, which feeds looks for in the registry
LEFT = [name for name in EXAMPLES if (ROOT / "service/domain" / name).is_dir()]  # some may be gone

PROCESSES = """
import sys
from pydantic import SecretStr

for sys.path[0] in sys.argv[1:]:
    for name in [name for name in sys.modules if name.partition(".")[0] == "service"]:
        del sys.modules[name]
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
    print("started:", *registry.tasks, *paths)
"""
# What a team changes first: the app's name, a stage more, a task that runs by itself, a test.
SCHEDULED = """
from service.queue import Context, scheduled_task


@scheduled_task(every="1 day")
async def count_the_till(ctx: Context) -> None: ...
"""
OWN_TEST = """
from tests.stacks.templates import deployed, stage_of


def test_no_report_is_kept() -> None:
    bucket = deployed(stage_of("local")).one("AWS::S3::Bucket", "Bucket")
    assert "results/reports/" not in str(bucket.get("LifecycleConfiguration.Rules"))
"""
OF_THE_KIT = (  # some of each kind
    "tests/service/queue/tasks/test_registry.py::"
    "test_new_domain_is_found_and_a_broken_one_stops_the_start",
    "tests/service/api/test_api_jobs.py",
    "tests/scripts/local/test_local.py::test_api_and_worker_take_a_job_from_its_request_to_its_end",
    "tests/twin/client/test_inherited.py",
)
CREATED = re.compile(r"\bCREATE TABLE (\w+)")


@dataclass(frozen=True)
class Started:
    """The tasks and paths of an API and a worker that have started with some of the examples."""

    all: set[str]
    none: set[str]
    without: dict[str, set[str]]  # by the name of the one that is not there

    def own(self, name: str) -> set[str]:
        """What is gone without that example."""
        return self.all - self.without[name]


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Started:
    folders = []
    for kept in (LEFT, [], *([each for each in LEFT if each != name] for name in LEFT)):
        own = [ROOT / "service/domain" / name for name in ("__init__.py", *kept)]
        folders.append(link_project(tmp_path_factory.mktemp("project"), own))
    lines = python(ROOT, "-c", PROCESSES, *map(str, folders)).splitlines()
    found = [set(line.split()[1:]) for line in lines if line.startswith("started:")]
    return Started(found[0], found[1], dict(zip(LEFT, found[2:], strict=True)))


def python(checkout: Path, *arguments: str) -> str:
    """What it prints; it has to end well."""
    run = subprocess.run(
        [sys.executable, *arguments], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


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


def test_nobody_else_uses_an_example(started: Started) -> None:
    """So each set of them can be deleted. A team's own domains may use them."""
    python_files = [file for file in files() if file.suffix == ".py"]
    sources = {str(file): (ROOT / file).read_text("utf-8") for file in python_files}
    ours = {str(file) for file in python_files if domain_of(file) in {None, *EXAMPLES}}
    shown = {f"{each.page}:{each.line}": each.text for each in blocks("python")}
    users = []
    for name in LEFT:
        words = {word.partition("/{")[0] for word in started.own(name) - OFFERED}
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


def test_api_and_worker_start_without_one_example_and_without_all(started: Started) -> None:
    own = {name: started.own(name) for name in LEFT}
    assert [name for name, gone in own.items() if not gone or "/api/v1/jobs" in gone] == []
    assert {each for each in started.none if not each.startswith("/")} == set(), "a task is left"
    assert started.all - started.none == set().union(*own.values())


def test_the_kit_s_own_tests_stand_in_a_project_with_no_example(tmp_path: Path) -> None:
    """All are imported, and some run."""
    copy(tmp_path, has=lambda file: domain_of(file) is None)
    stages = tmp_path / "stages.toml"
    renamed = re.sub(r'(?m)^app_name = ".*"$', 'app_name = "shop"', stages.read_text())
    stages.write_text(f"{renamed}\n[stage-of-a-team]\nallow_http = true\n")
    jobs, tests = tmp_path / "service/domain/till/jobs", tmp_path / "tests/domain/till"
    for package in (jobs.parent, jobs, tests):
        package.mkdir()
        (package / "__init__.py").touch()
    (jobs / "scheduled.py").write_text(SCHEDULED)
    (tests / "test_till.py").write_text(OWN_TEST)

    names = [re.split("/|::", each)[-1] for each in (*OF_THE_KIT, "test_till.py")]
    said = python(
        tmp_path, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-k", " or ".join(names)
    )
    assert [name for name in names if name not in said] == []
