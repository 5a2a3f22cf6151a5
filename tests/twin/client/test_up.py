"""`moor up` and `moor down` as their user meets them: the real CDK, real processes, one twin."""

import asyncio
import contextlib
import json
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import psutil
import pytest

from scripts.host.pid_lock import take_up_lock
from scripts.session.database_access import find_database, read_password
from scripts.twin.client.launch import end
from scripts.twin.client.state import Twin
from service.contract import READY_PATH
from stacks.config.naming import Output
from tests.ports import free_port
from tests.sample import copy_project
from tests.scripts.conftest import ROOT, are_gone, await_gone, wait_until
from tests.twin.client import rights
from tests.twin.client.canary import answers, arguments_with, files_with, holds, told, watched
from tests.twin.client.local_stage import HOSTILE, Stage

# Two that stand nowhere but where a test has put them; the file of the values is in `home`.
CANARIES = BOTH, WORKERS, POOL = [f"canary{token_hex(12)}" for _ in range(3)]
STAGE = """
[local.secrets]
CANARY_KEY = ""
[local.worker.secrets]
CANARY_FIELD = "secretsmanager:shared/canary#key"
CANARY_PARAMETER = "ssm:/shared/canary"

[local.workers.reports] # its worker starts in the test that needs it
queues = ["reports"]
min_count = 0
desired_count = 0
[local.workers.reports.secrets]
CANARY_POOL = ""
"""
VALUES = {
    "CANARY_KEY": BOTH, "CANARY_FIELD": WORKERS, "CANARY_PARAMETER": WORKERS, "CANARY_POOL": POOL,
}  # fmt: skip
TASK = """
import os
from service.queue import Context, task


@task(queue="reports")
async def scan_pages(ctx: Context) -> int:
    ctx.log.info("pages scanned")
    return os.getpid()
"""
ROUTE = """
from litestar import get

@get("/pages/said")
async def said() -> dict[str, str]:
    return {{"said": "{text}"}}

route_handlers = [said]
"""
SETTINGS = """
from pydantic import SecretStr
from service.contract import ProcessName
from service.settings import DomainSettings


class Settings(DomainSettings):
    canary_key: SecretStr


class OfWorkers(DomainSettings):
    processes = (ProcessName.WORKER,)
    canary_field: SecretStr
    canary_parameter: SecretStr
"""


@pytest.fixture(scope="module")
def stage(scratch: Path) -> Iterator[Stage]:
    """Not up yet; nothing of it runs afterwards."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        project = copy_project(Path(folder) / "project")
        made = Stage(project, project / ".moorage", free_port())
        with (project / "stages.toml").open("a") as stages:
            stages.write(STAGE)
        (project / "service/domain/notes/settings.py").write_text(SETTINGS)
        (project / "service/domain/pages/jobs").mkdir(parents=True)
        for package in ("pages", "pages/jobs"):
            (project / f"service/domain/{package}/__init__.py").touch()
        (project / "service/domain/pages/jobs/tasks.py").write_text(TASK)
        yield made
        end(made.home, print)


@pytest.fixture(scope="module")
def first(stage: Stage) -> "subprocess.CompletedProcess[str]":
    """`moor up` where nothing was, in a terminal that has been set up for all kinds of things."""
    with watched(CANARIES) as arguments:
        refused = stage.moor("up")
        assert f"no value for {', '.join(VALUES)}" in refused.stderr
        assert Twin.load(stage.home) is None
        for name, value in VALUES.items():
            stage.moor("secrets", "set", name, "--stdin", typed=value)
    assert arguments == []
    done = stage.moor("up", **HOSTILE)
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def reports(stage: Stage, first: "subprocess.CompletedProcess[str]") -> psutil.Process:
    """The worker of the pool, of which there was none, and is none before its secret is there."""
    assert stage.moor("secrets", "unset", "CANARY_POOL", "--yes").returncode == 0
    refused = stage.moor("scale", "worker-reports", "1")
    assert "no value for CANARY_POOL: no worker-reports would start" in refused.stderr
    stage.moor("secrets", "set", "CANARY_POOL", "--stdin", typed=POOL)
    done = stage.moor("scale", "worker-reports", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    return stage.container("worker-reports")


@pytest.fixture
def up(stage: Stage, first: "subprocess.CompletedProcess[str]") -> Stage:
    """The stage, deployed."""
    return stage


def test_up_shows_each_step_with_its_seconds_and_what_to_try(
    stage: Stage, first: "subprocess.CompletedProcess[str]"
) -> None:
    steps = re.findall(r"^(.+) \(\d+\.\d s\)$", first.stdout, re.MULTILINE)
    url = f"http://localhost:{stage.port}"

    assert [step.split()[0] for step in steps] == [
        "The", "Bootstrapped", "Synthesized", "Deployed", "The", "The"
    ]  # fmt: skip
    assert ["API", url] in [line.split() for line in first.stdout.splitlines()]
    for command in ("moor status", "moor logs worker --follow", "moor scale worker 3", "moor down"):
        assert command in first.stdout
    assert f"curl -s {url}/api/v1/jobs -H" in first.stdout
    assert """-d '{"task": "keep_note", "payload": {"message": "hello"}}'""" in first.stdout


def test_the_url_among_the_outputs_is_where_the_api_answers(up: Stage) -> None:
    assert up.aws.output(Output.URL) == up.twin.url
    with urllib.request.urlopen(up.twin.url + READY_PATH, timeout=30) as answer:
        assert answer.status == 200


def test_a_job_runs_from_its_request_to_its_end(up: Stage) -> None:
    job_key = up.ask("/notes", {"message": "hello"})["job_id"]

    wait_until(lambda: up.ask(f"/api/v1/jobs/{job_key}")["status"] == "complete", "complete")


def test_a_job_of_a_pools_queue_runs_on_its_worker(up: Stage, reports: psutil.Process) -> None:
    job_key = up.ask("/api/v1/jobs", {"task": "scan_pages", "payload": {}})["job_id"]
    job: dict[str, Any] = {}

    def is_complete() -> bool:
        job.update(up.ask(f"/api/v1/jobs/{job_key}"))
        return bool(job["status"] == "complete")

    wait_until(is_complete, "complete")
    assert (job["queue"], job["result"]) == ("reports", reports.pid)
    said = up.moor("logs", "worker-reports").stdout
    assert "pages scanned" in said
    assert job_key in said
    services = json.loads(up.moor("status", "--json").stdout)["services"]
    assert {each["process"]: each["running"] for each in services} == {
        "api": 1, "worker": 1, "worker-reports": 1,
    }  # fmt: skip


def test_the_database_of_the_template_is_the_embedded_postgres(up: Stage) -> None:
    (cluster,) = up.aws.call("rds", "describe_db_clusters")["DBClusters"]
    master = up.aws.call(
        "secretsmanager", "get_secret_value", SecretId=up.aws.output(Output.DATABASE_SECRET)
    )
    secret = json.loads(master["SecretString"])

    async def whoami(password: str) -> Any:
        connection: asyncpg.Connection = await asyncpg.connect(
            host=cluster["Endpoint"], port=cluster["Port"], user=secret["username"],
            password=password, database=cluster["DatabaseName"],
        )  # fmt: skip
        try:
            return await connection.fetchval("SELECT current_user")
        finally:
            await connection.close()

    assert (cluster["Endpoint"], cluster["Port"]) == ("127.0.0.1", up.twin.postgres_port)
    assert asyncio.run(whoami(secret["password"])) == secret["username"]
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(whoami("another"))


def test_api_and_worker_connect_as_a_user_who_owns_nothing(up: Stage) -> None:
    def sql(statement: str, *, as_owner: bool) -> Any:
        database = find_database(up.aws, as_owner=as_owner)

        async def ask() -> Any:
            connection: asyncpg.Connection = await asyncpg.connect(
                host=database.host, port=database.port, user=database.user,
                database=database.name, password=read_password(up.aws, database),
            )  # fmt: skip
            try:
                return [row[0] for row in await connection.fetch(statement)]
            finally:
                await connection.close()

        return asyncio.run(ask())

    users = "SELECT DISTINCT usename FROM pg_stat_activity WHERE application_name ~ '^moorage'"
    assert sql(users, as_owner=True) == ["moorage_app"]
    owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert sql(owners, as_owner=True) == ["moorage"]
    assert sql("SELECT current_user", as_owner=False) == ["moorage_app"]


def test_the_image_of_the_ecs_tasks_is_in_the_registry_and_among_the_folders(up: Stage) -> None:
    definition = up.aws.call(
        "ecs", "describe_task_definition", taskDefinition=up.aws.output(Output.API_TASK_DEFINITION)
    )["taskDefinition"]
    repository, _, tag = definition["containerDefinitions"][0]["image"].rpartition(":")

    found = up.aws.call(
        "ecr", "describe_images", repositoryName=repository.partition("/")[2],
        imageIds=[{"imageTag": tag}],
    )  # fmt: skip

    assert found["imageDetails"]
    assert (up.twin.images / tag / "service" / "__main__.py").exists()
    assert not (up.twin.images / tag / "tests").exists()


def test_a_terminal_with_the_env_file_talks_to_the_twin_and_to_nothing_else(up: Stage) -> None:
    script = (
        ". $ENV_FILE; python -c 'import boto3;"
        ' print(boto3.client("sts").get_caller_identity()["Account"])\'; echo ${#API_KEY}'
    )
    file = up.home / "twin" / "env"
    done = subprocess.run(
        ["sh", "-c", script],
        env={"PATH": os.environ["PATH"], "ENV_FILE": str(file), "AWS_PROFILE": "company"},  # noqa: TID251
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.stdout.split() == [up.twin.account, "40"], done.stderr
    assert file.stat().st_mode & 0o077 == 0


STRANGER = """
import http.client, json, os, socket, sys
home, agent_port, path, aws_port, database_port = sys.argv[1:]
found = {"uid": os.getuid(), "seen": [], "opened": [], "secrets": 0, "status": []}
for folder, _, files in os.walk(home):
    found["seen"] += [os.path.join(folder, each) for each in files]
for name in ("twin/env", "twin/state.json", "twin/twin.log", "postgres/PG_VERSION",
             "postgres/pg_hba.conf", "postgres.port", "twin.lock"):
    try:
        open(os.path.join(home, name)).read()
        found["opened"].append(name)
    except OSError:
        pass
try:
    socket.socket(socket.AF_UNIX).connect(f"{home}/postgres/.s.PGSQL.{database_port}")
    found["opened"].append("socket")
except OSError:
    pass
for each in filter(str.isdigit, os.listdir("/proc") if os.path.isdir("/proc") else []):
    try:
        if int(each) != os.getpid():
            found["secrets"] += "AWS_SECRET_ACCESS_KEY" in open(f"/proc/{each}/environ").read()
            found["opened"] += [each] * os.readlink(f"/proc/{each}/cwd").startswith(home)
    except OSError:
        pass
for port, path in ((agent_port, path), (aws_port, "/")):
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=10)
    connection.request("GET", path)
    found["status"].append(connection.getresponse().status)
print(json.dumps(found))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="root alone can be another user")
def test_another_user_reads_nothing_and_is_answered_nothing(up: Stage) -> None:
    """As "nobody", which Postgres runs as where the operator is root."""
    (arn, *_) = up.aws.call("ecs", "list_tasks", cluster=up.aws.names.cluster)["taskArns"]
    described = up.aws.call("ecs", "describe_tasks", cluster=up.aws.names.cluster, tasks=[arn])
    runtime_id = described["tasks"][0]["containers"][0]["runtimeId"]
    agent = urlsplit(up.twin.agent_url)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable

    done = subprocess.run(
        [python, "-I", "-c", STRANGER, str(up.home), str(agent.port),
         f"{agent.path}/v4/{runtime_id}", str(urlsplit(up.twin.endpoint).port),
         str(up.twin.postgres_port)],
        cwd="/", env={}, capture_output=True, text=True, check=False,
        user=65534, group=65534, extra_groups=[],
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["uid"] == 65534
    assert (found["seen"], found["opened"], found["secrets"]) == ([], [], 0)
    # even with the secret of the path, which stands in the arguments of a session's plugin
    assert found["status"] == [403, 403]


def test_every_file_of_the_twin_is_its_user_s_alone(up: Stage) -> None:
    """Each by its own mode, too: somebody may open the folder above."""
    copies = up.twin.images, up.home / "twin" / "cdk.out"  # of code, with its modes
    below = [
        each
        for each in up.home.rglob("*")
        if not each.is_symlink() and each.exists() and not {*copies} & {*each.parents}
    ]
    open_to_others = []
    for each in below:
        with contextlib.suppress(FileNotFoundError):  # Postgres and the twin go on beside this
            if each.stat().st_mode & 0o077:
                open_to_others.append(str(each))

    assert open_to_others == []
    assert up.home.stat().st_mode & 0o067 == 0  # to pass through, for the group of Postgres alone


def test_a_secret_is_in_the_containers_that_are_given_it_and_nowhere_else(
    up: Stage, reports: psutil.Process
) -> None:
    """Its file here is where it comes from; Postgres, the guard and the daemon have none."""
    containers = {
        up.container("api"): {BOTH},
        up.container("worker"): {BOTH, WORKERS},
        reports: {BOTH, WORKERS, POOL},
    }
    assert {each: told(each, CANARIES) for each in containers} == containers
    strangers = [each for each in psutil.process_iter() if each not in containers]
    assert [each for each in strangers if told(each, CANARIES)] == []
    assert arguments_with(CANARIES) == []
    assert [*files_with(up.project, CANARIES)] == [up.home / "secrets.json"]
    assert [what for what, answer in answers(up.aws) if holds(answer, CANARIES)] == []


def test_no_command_shows_a_secret_or_passes_it_on(up: Stage) -> None:
    """The worker is restarted with another value, and crashes without a dump."""
    with watched([*CANARIES, other := f"canary{token_hex(12)}"]) as arguments:
        for words in ("list", "diff", "list --json"):
            up.moor("secrets", *words.split())
        for words in ("config", "status", "doctor", "logs"):
            up.moor(*words.split())
        (up.project / ".env").write_text(f"CANARY_PARAMETER={other}\nOTHER={other}\n")
        assert up.moor("secrets", "import", ".env").returncode == 0
        (up.project / ".env").unlink()
        assert up.moor("restart", "worker").returncode == 0
        worker = up.container("worker")
        assert told(worker, [WORKERS, other]) == {WORKERS, other}
        limits = Path(f"/proc/{worker.pid}/limits").read_text()
        assert re.search(r"Max core file size +0 +0", limits)
        worker.send_signal(signal.SIGQUIT)
        wait_until(lambda: are_gone([worker]), "the worker has crashed")
        wait_until(lambda: up.container("worker").pid != worker.pid, "another worker")
    assert arguments == []
    assert not holds(up.said.encode(), [*CANARIES, other])
    assert [*files_with(up.project, [*CANARIES, other])] == [up.home / "secrets.json"]
    assert [what for what, answer in answers(up.aws) if holds(answer, [*CANARIES, other])] == []


def test_each_right_taken_away_fails_exactly_the_calls_that_need_it(up: Stage) -> None:
    of = {process: rights.calls(up, process) for process in ("api", "worker")}
    assert rights.refused(of["api"]) == rights.refused(of["worker"]) == {}

    for (process, sid), needed in rights.NEEDED.items():
        with rights.without(up.aws, process, sid):
            said = {name: rights.refused(calls) for name, calls in of.items()}
        sentences = said.pop(process)
        assert sentences.keys() == needed.keys(), sid
        assert list(said.values()) == [{}], sid
        for name, sentence in sentences.items():
            is_as_aws_says = f"is not authorized to perform: {needed[name]} on" in sentence
            assert is_as_aws_says or sentence == needed[name], sentence

    found = json.loads(up.moor("permissions", "--json").stdout)
    worker = next(each for each in found["roles"] if "-service-WorkerRolesTaskRole" in each["role"])
    assert found["enforced"]
    assert {each["action"] for each in worker["refused"]} >= {"s3:PutObject", "kms:Decrypt"}
    assert {each["action"] for each in worker["used"]} >= {"secretsmanager:GetSecretValue"}
    assert {each["action"] for each in worker["never_used"]} >= {"ssmmessages:OpenDataChannel"}
    assert not [each for each in found["roles"] if each["not_judged"]]
    for command in ("status", "doctor"):
        assert "ecs:UpdateTaskProtection" in up.moor(command).stdout.replace("\n", "")
    logs = up.moor("logs", "worker", "--json", "--grep", "IAM refused").stdout
    assert "ecs:UpdateTaskProtection" in logs


def test_a_second_up_deploys_to_the_same_twin_and_synthesizes_nothing_anew(up: Stage) -> None:
    pid = up.twin.pid

    again = up.moor("up")

    assert again.returncode == 0, again.stdout + again.stderr
    assert up.twin.pid == pid
    assert "The twin runs already" in again.stdout
    assert "Nothing to synthesize" in again.stdout
    assert "Bootstrapped" not in again.stdout


def test_two_ups_at_once_are_one_too_many(up: Stage) -> None:
    lock = take_up_lock(up.home)
    try:
        second = up.moor("up")
    finally:
        lock.release()

    assert second.returncode == 1
    assert f"another `moor up` is at work here (process {os.getpid()})" in second.stderr


def test_another_checkout_gets_the_next_free_port(up: Stage, scratch: Path) -> None:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        home = Path(folder)
        with subprocess.Popen(
            [sys.executable, "-m", "scripts.twin", folder, str(up.port)], cwd=ROOT
        ) as daemon:
            try:
                wait_until(lambda: Twin.load(home) or daemon.poll() is not None, "the twin is up")
                other = Twin.load(home)
            finally:
                daemon.terminate()

    assert other is not None
    assert other.url != up.twin.url
    assert other.endpoint != up.twin.endpoint
    assert other.postgres_port != up.twin.postgres_port


def test_a_step_that_fails_is_named_with_its_reason_and_its_log(up: Stage) -> None:
    manifest = up.home / "twin" / "cdk.out" / "manifest.json"
    whole = manifest.read_text()
    manifest.write_text("no JSON")
    try:
        done = up.moor("up")
    finally:
        manifest.write_text(whole)

    assert done.returncode == 1, done.stdout
    assert "error: could not deploy: cdk deploy failed" in done.stderr
    assert "JSON" in done.stderr
    assert f"{up.home}/twin/deploy.log" in done.stderr


def test_dev_runs_the_checkout_and_reloads_what_is_saved(up: Stage) -> None:
    routes = up.project / "service/domain/pages/routes.py"
    terminal, theirs = os.openpty()
    given = {"PATH": os.environ["PATH"], "HOME": os.environ.get("HOME", "/"), "NO_COLOR": "1"}  # noqa: TID251
    with subprocess.Popen(
        [sys.executable, "-m", "scripts.cli", "dev"],
        cwd=up.project, env={**given, "API_PORT": str(up.port)},
        stdin=theirs, stdout=theirs, stderr=theirs,
    ) as dev:  # fmt: skip
        os.close(theirs)
        said = ""

        def await_said(text: str) -> None:
            nonlocal said
            deadline = time.monotonic() + 120
            while text not in said.replace("\r\n", ""):  # the terminal breaks long lines
                assert time.monotonic() < deadline, said
                if select.select([terminal], [], [], 0.1)[0]:
                    said += os.read(terminal, 65536).decode(errors="replace")

        def is_served() -> bool:
            with contextlib.suppress(urllib.error.HTTPError):
                return bool(up.ask("/pages/said") == {"said": "one"})
            return False

        try:
            await_said("q ends.")
            routes.write_text(ROUTE.format(text="one"))
            await_said("reloaded in")  # a worker may be before the API
            wait_until(is_served, "the new code answers")
            routes.write_text("def broken(:")
            await_said("not reloaded (service/domain/pages/routes.py)")
            assert up.ask("/pages/said") == {"said": "one"}
            os.write(terminal, b"e")
            await_said("Task, and its payload")
            os.write(terminal, b"keep_note message=typed\n")
            await_said("job complete")
            os.write(terminal, b"q")
            await_said("`moor down` ends it.")
            assert dev.wait(20) == 0
        finally:
            dev.kill()
            os.close(terminal)
            routes.unlink()
    assert not up.twin.is_dev


def test_a_killed_twin_leaves_no_process_and_the_next_has_its_data(up: Stage) -> None:
    job_key = up.ask("/notes", {"message": "hello"})["job_id"]
    processes = up.processes()

    os.kill(up.twin.pid, signal.SIGKILL)
    wait_until(lambda: are_gone(processes), "all gone")
    again = up.moor("up")

    assert again.returncode == 0, again.stdout + again.stderr
    assert up.ask(f"/api/v1/jobs/{job_key}")["job_id"] == job_key


def test_down_leaves_no_process_and_says_so(up: Stage) -> None:
    processes = up.processes()

    done = up.moor("down")

    assert done.returncode == 0, done.stdout + done.stderr
    assert len(processes) >= 5  # the daemon, its guard, API, worker, Postgres
    await_gone(processes)
    assert Twin.load(up.home) is None
    assert "No twin runs here" in up.moor("down").stdout
