"""Worker pools of stages.toml: what a table says, what it leaves out, and what is refused."""

from pathlib import Path

import pytest

from service.contract import ProcessName, ServedQueues
from stacks.config.checks import check_stage
from stacks.config.connections import connections_wanted
from stacks.config.naming import Output, pool_output
from stacks.config.read_pools import INHERITED
from stacks.config.read_stage import explain_stage, read_stage
from stacks.config.secrets import secrets_of
from stacks.config.stage import Stage
from stacks.config.values import ConfigError
from stacks.config.variables import of_process

FILE = """
[env]
SITE = "Shop"
[worker.env]
ROWS = 100
[workers.reports]
queues = ["reports"]
max_count = 2
secrets = ["PDF_KEY"]
[workers.reports.env]
ROWS = 5
[dev]
allow_http = true
[dev.worker]
queues = ["default", "reports", "mail"]
[dev.workers]
reports = false
[prod]
allow_http = true
database_min_acu = 1
database_max_acu = 8
[prod.worker]
memory_mib = 2048
max_count = 10
desired_count = 3
[prod.workers.reports]
min_count = 0
[prod.workers.mail]
queues = { mail = 3, reports = 1 }
memory_mib = 1024
[staging]
extends = "prod"
[staging.workers]
mail = false
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stages.toml").write_text(FILE)
    return tmp_path / "stages.toml"


def problems(file: Path, overrides: dict[str, object]) -> list[str]:
    with pytest.raises(ConfigError) as refused:
        check_stage(read_stage("prod", overrides, file=file))
    return refused.value.problems


def processes(stage: Stage) -> list[str]:
    return [each.name for each in stage.processes]


def test_each_stage_has_the_pools_that_its_tables_name(file: Path) -> None:
    found = {name: read_stage(name, file=file) for name in ("dev", "prod", "staging", "local")}
    assert {name: processes(stage)[2:] for name, stage in found.items()} == {
        "dev": [],
        "prod": ["worker-mail", "worker-reports"],
        "staging": ["worker-reports"],
        "local": ["worker-reports"],
    }
    assert found["dev"].worker_queues.names == ("default", "reports", "mail")
    assert found["prod"].pools[0].queues == ServedQueues(("mail", "reports"), (3, 1))
    for name in ("dev", "prod", "staging"):
        check_stage(found[name])


def test_what_a_pool_leaves_out_is_the_default_pools_but_the_counts_are_its_own(file: Path) -> None:
    stage, lines = explain_stage("prod", file=file)
    default, mail, reports = stage.worker_pools
    assert (reports.memory_mib, mail.memory_mib) == (2048, 1024)
    assert {key for key in INHERITED if getattr(reports, key) != getattr(default, key)} == set()
    assert (mail.min_count, mail.max_count, mail.desired_count) == (1, 1, None)
    assert (reports.min_count, reports.max_count, reports.desired_count) == (0, 2, None)
    tables = {key: line.table for key, line in lines.items() if key.startswith("workers.")}
    assert tables["workers.reports.max_count"] == ""
    assert tables["workers.reports.min_count"] == tables["workers.mail.queues"] == "prod"
    assert "workers.reports.memory_mib" not in tables


def test_one_deploy_may_change_a_pool_or_do_without(file: Path) -> None:
    more = {"workers.reports.max_count": "3", "workers.mail.queues": "mail,reports"}
    mail, reports = read_stage("prod", more, file=file).pools
    assert (reports.max_count, mail.queues) == (3, ServedQueues(("mail", "reports")))
    assert processes(read_stage("prod", {"workers.mail": "false"}, file=file))[2:] == [
        "worker-reports"
    ]


def test_a_pool_is_told_its_own_variables_before_those_of_all_workers(file: Path) -> None:
    variables = read_stage("prod", file=file).variables
    worker = ProcessName.WORKER
    assert of_process(variables, worker) == {"SITE": "Shop", "ROWS": "100"}
    assert of_process(variables, worker, "mail") == {"SITE": "Shop", "ROWS": "100"}
    assert of_process(variables, worker, "reports") == {"SITE": "Shop", "ROWS": "5"}
    assert of_process(variables, ProcessName.API) == {"SITE": "Shop"}
    assert [each.pool for each in read_stage("dev", file=file).variables] == ["", ""]


def test_a_pool_is_given_its_own_secrets_too(file: Path) -> None:
    secrets = read_stage("prod", {"worker.secrets": "SMTP_KEY"}, file=file).secrets
    worker = ProcessName.WORKER
    assert set(secrets_of(secrets, worker, "reports")) == {"SMTP_KEY", "PDF_KEY"}
    assert set(secrets_of(secrets, worker, "mail")) == {"SMTP_KEY"}
    assert set(secrets_of(secrets, worker)) == {"SMTP_KEY"}
    assert set(secrets_of(secrets, ProcessName.API)) == set()


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("workers.reports.max_cont", 3, "workers.reports.max_cont: no such key; did you mean "
                                        "workers.reports.max_count?"),
        ("workers.report.max_count", 3, "workers.report.queues: missing; did you mean "
                                        "workers.reports?"),
        ("workers.pdf.max_count", 3, 'workers.pdf.queues: missing; ["pdf"], for example'),
        ("workers.reports", True, "workers.reports = True: allowed is a table for each pool"),
        ("workers", 3, "workers = 3: allowed is a table for each pool"),
        ("workers.reports.env", 3, "workers.reports.env: a variable is A-Z"),
        ("workers.reports.queues", [], "workers.reports.queues = []: allowed is a list of queues"),
        ("workers.reports.queues", ["a,b"], "workers.reports.queues = ['a,b']: allowed is a list"),
        ("workers.reports.queues", ["a", "a"], "workers.reports.queues = ['a', 'a']: allowed"),
        ("workers.reports.queues", {"a": 0}, "workers.reports.queues = {'a': 0}: allowed is"),
        ("workers.reports.queues", {"a": True}, "workers.reports.queues = {'a': True}: allowed"),
        ("workers.reports.queues", ["Reports"], "workers.reports.queues = ['Reports']: allowed"),
        ("worker.queues", 3, "worker.queues = 3: allowed is a list of queues"),
        ("workers.reports.cpu", 3, "workers.reports.cpu = 3: allowed is one of 256, "),
        ("workers.reports.cpu", 4096, "workers.reports.memory_mib = 2048: with "
                                      "workers.reports.cpu = 4096 Fargate allows 8192"),
        ("workers.reports.min_count", 3, "workers.reports.min_count = 3: is above "
                                         "workers.reports.max_count = 2"),
        ("workers.reports.max_count", 100, "database_max_acu = 8: allows 1669 connections, of "
                                           "which 1335 may be used"),
        ("workers.a", {}, 'workers.a.queues: missing; ["a"], for example'),
        ("sqs_queue", "jobs", "workers.mail.queues: with sqs_queue there is one queue, default"),
        ("database_min_acu", 0, "database_min_acu = 0: the database can pause only if "
                                "api_min_count, api_desired_count, worker_min_count, "
                                "worker_desired_count, workers.mail.min_count"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_the_pools_key(
    key: str, value: object, says: str, file: Path
) -> None:
    found = problems(file, {key: value})
    assert any(each.startswith(says) for each in found), found


@pytest.mark.parametrize(
    "name",
    ["Reports", "1st", "a--b", "a-", "a_b", "a" * 17, "default", "api", "worker", "worker-x",
     "api-x", "migrate", "exec"],
)  # fmt: skip
def test_a_name_that_aws_or_another_process_takes_is_refused(name: str, file: Path) -> None:
    found = problems(file, {f"workers.{name}.queues": "reports"})
    assert found[0].startswith(f"workers.{name}: a pool's name is a-z, 0-9 and single hyphens")


def test_names_that_outputs_cannot_tell_apart_are_refused(file: Path) -> None:
    (said,) = problems(file, {"workers.a-1.queues": "x", "workers.a1.queues": "x"})
    assert said == "workers.a1: is too like workers.a-1; their stack outputs would be called alike"
    assert pool_output(Output.WORKER_SERVICE, "big-reports") == "WorkerBigReportsService"
    assert pool_output(Output.WORKER_SERVICE, "") == Output.WORKER_SERVICE


def test_each_pool_counts_in_the_budget_of_connections(file: Path) -> None:
    stage = read_stage("prod", file=file)
    (reports,) = (each for each in stage.pools if each.pool == "reports")
    more = stage.changed(reports, max_count=reports.max_count + 1)
    each = reports.pool_size + reports.queue_pool_size + 2
    assert (
        connections_wanted(more.processes) - connections_wanted(stage.processes) == 2 * each
    )  # old and new ones


def test_a_stage_has_no_more_ecs_services_than_one_call_describes(file: Path) -> None:
    more: dict[str, object] = {f"workers.p{n}.queues": "reports" for n in range(7)}
    assert "workers: 9 pools; 8 are the most, because a stage has 10 ECS services at most" in (
        problems(file, more | {"database_max_acu": 64})
    )
    check_stage(
        read_stage(
            "prod",
            {f"workers.p{n}.queues": "reports" for n in range(6)} | {"database_max_acu": 64},
            file=file,
        )
    )
