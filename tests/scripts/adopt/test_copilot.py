"""`moor adopt copilot` drops no field silently, and what it writes is accepted."""

import json
from pathlib import Path
from typing import Any

import pytest

from scripts.adopt.adoption import Adoption, adopt
from scripts.adopt.rules import Kind
from scripts.adopt.stages import stage_name
from scripts.adopt.values import schedule
from scripts.adopt.workspace import read_workspace
from scripts.cli import main
from scripts.errors import NotFoundError, OperatorError
from service.contract import ProcessName
from stacks.config.checks import check_stage
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.stages_file import stage_names
from stacks.config.variables import of_process
from tests.generated import COMMAND, written
from tests.scripts.adopt.fields import tables

FILES = {
    ".workspace": "application: Book_Shop\n",
    "front/manifest.yml": """
name: front
type: Load Balanced Web Service
http:
  path: '/'
  alias: shop.example.com
  stickiness: true
image:
  build: ./Dockerfile
  port: 8080
cpu: 300        # no size of Fargate
memory: 5000
count:
  range: 2-12
  cpu_percentage: 70
  requests: 500
  response_time: 2s
network:
  vpc:
    placement: private
variables: &shared
  LOG_LEVEL: info
  TABLE: ${COPILOT_APPLICATION_NAME}-${COPILOT_ENVIRONMENT_NAME}
  AWS_REGION: eu-west-1
  TOKEN_FILE: ${HOME}/token
  BUCKET_ARN: {from_cfn: bucket}
environments:
  live:
    count: 3
    exec: true
    variables:
      LOG_LEVEL: warning
""",
    "mailer/manifest.yml": """
name: mailer
type: Worker Service
image: {build: ./Dockerfile}
subscribe:
  topics: [{name: orders, service: front}]
  queue: {timeout: 30s, fifo: true}
cpu: 512
memory: 1024
count:
  range: {min: 1, max: 6, spot_from: 2}
  queue_delay: {acceptable_latency: 2m, msg_processing_time: 250ms}
variables: {LOG_LEVEL: info}
secrets:
  STRIPE_KEY: /copilot/${COPILOT_APPLICATION_NAME}/${COPILOT_ENVIRONMENT_NAME}/secrets/STRIPE_KEY
  SMTP_PASSWORD: {secretsmanager: "shared/smtp:password::"}
  OLD_KEY: "'arn:aws:secretsmanager:eu-west-1:123456789012:secret:old-AbCdEf'"
  AWS_PROFILE: mine
environments:
  live: {variables: {LOG_LEVEL: warning}}
""",
    "reports/manifest.yml": """
name: reports
type: Scheduled Job
on: {schedule: "cron(0 6 ? * MON-FRI *)"}
timeout: 1h
cpu: 1024
variables: {REPORT_DAYS: 7, LOG_LEVEL: debug}
""",
    "worker-2/manifest.yml": """
name: worker-2
type: Backend Service
memory: 4096
count: 2
variables: {BATCH: 5}
""",
    "old/manifest.yml": "name: old\ntype: Request-Driven Web Service\ncpu: 1 vCPU\nhttp:\n",
    "site/manifest.yml": "name: site\ntype: Static Site\nfiles: [{source: dist}]\n",
    "inner/manifest.yml": "name: inner\ntype: Backend Service\nimage: {port: 80}\nnonsense: 1\n",
    "environments/test/manifest.yml": """
name: test
type: Environment
network: {vpc: {cidr: 10.1.0.0/16, flow_logs: on}}
cdn: true
""",
    "environments/live/manifest.yml": """
name: live
type: Environment
http:
  public:
    certificates:
      - arn:aws:acm:eu-west-1:123456789012:certificate/01234567-89ab-cdef-0123-456789abcdef
""",
    "pipelines/main/manifest.yml": "name: main\nversion: 1\n",
    "front/addons/table.yml": "Resources: {}\n",
}


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        file = tmp_path / "copilot" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text.lstrip("\n"))
    return tmp_path


@pytest.fixture
def adoption(shop: Path) -> Adoption:
    return adopt(read_workspace(shop))


@pytest.fixture
def stages(adoption: Adoption, tmp_path: Path) -> dict[str, Stage]:
    """What the kit reads of the file, each stage checked as before a deployment."""
    file = tmp_path / "stages.toml"
    file.write_text(adoption.text)
    found = {name: read_stage(name, file=file) for name in stage_names(file)}
    for stage in found.values():
        check_stage(stage)
    return found


def said(adoption: Adoption, file: str, line: int) -> tuple[Kind, str]:
    (found,) = (
        each for each in adoption.findings
        if each.field.file == f"copilot/{file}/manifest.yml" and each.field.line == line
    )  # fmt: skip
    return found.kind, found.here


def test_the_kit_takes_what_is_written(stages: dict[str, Stage]) -> None:
    assert set(stages) == {"test", "live", "local"}
    test, live = stages["test"], stages["live"]
    assert test.app_name == "book-shop"
    assert (test.api_min_count, test.api_max_count) == (2, 12)
    assert (live.api_min_count, live.api_max_count) == (3, 3)  # a number in place of the map
    assert (test.api_cpu_target_percent, test.api_requests_target) == (70, 500)
    assert (test.egress, test.subnet_layout) == ("nat", "nat-2")
    assert (test.enable_exec, live.enable_exec) == (False, True)
    assert (test.is_protected, live.is_protected) == (False, True)
    assert (test.vpc_cidr, test.allow_http) == ("10.1.0.0/16", True)
    assert live.certificate_arn.startswith("arn:aws:acm:eu-west-1:")
    assert (test.worker_min_count, test.worker_max_count) == (1, 6)
    assert (test.worker_spot_percent, test.worker_age_target_seconds) == (100, 120)


def test_sizes_are_rounded_up_to_what_fargate_has(stages: dict[str, Stage]) -> None:
    assert (stages["test"].api_cpu, stages["test"].api_memory_mib) == (1024, 5120)
    assert (stages["test"].worker_cpu, stages["test"].worker_memory_mib) == (512, 1024)


def test_the_database_has_the_connections_that_the_counts_need(shop: Path, tmp_path: Path) -> None:
    file = shop / "copilot/front/manifest.yml"
    file.write_text(file.read_text().replace("2-12", "2-90"))
    written = tmp_path / "stages.toml"
    written.write_text(adopt(read_workspace(shop)).text)
    stage = read_stage("test", file=written)
    check_stage(stage)
    assert stage.database_max_acu > 2


def test_a_second_worker_becomes_a_pool(stages: dict[str, Stage]) -> None:
    (pool,) = stages["live"].pools
    assert (pool.name, pool.queues.names) == ("worker-pool-worker-2", ("pool-worker-2",))
    assert (pool.cpu, pool.memory_mib, pool.min_count, pool.max_count) == (512, 4096, 2, 2)
    assert [each.name for each in stages["local"].pools] == [pool.name]


def test_variables_reach_the_processes_that_had_them(stages: dict[str, Stage]) -> None:
    def told(stage: str, process: ProcessName) -> dict[str, str]:
        return of_process(stages[stage].variables, process)

    api, worker = ProcessName.API, ProcessName.WORKER
    assert told("test", api) == {"LOG_LEVEL": "info", "TABLE": "book-shop-test"}
    assert told("live", api) == {"LOG_LEVEL": "warning", "TABLE": "book-shop-live"}
    assert told("test", worker) == {"LOG_LEVEL": "info", "REPORT_DAYS": "7"}


def test_secrets_are_named_where_they_are(stages: dict[str, Stage]) -> None:
    found = {(each.name, each.process): each.source for each in stages["live"].secrets}
    worker = ProcessName.WORKER
    assert found == {
        ("STRIPE_KEY", worker): "ssm:/copilot/book-shop/live/secrets/STRIPE_KEY",
        ("SMTP_PASSWORD", worker): "secretsmanager:shared/smtp#password",
        ("OLD_KEY", worker): "arn:aws:secretsmanager:eu-west-1:123456789012:secret:old-AbCdEf",
    }
    assert stages["local"].secrets == ()  # this machine has no AWS to ask


def test_every_field_is_answered_with_its_file_and_line(shop: Path, adoption: Adoption) -> None:
    workspace = read_workspace(shop)
    fields = [
        (each.file, each.line, each.path)
        for manifest in (*workspace.services, *workspace.environments, *workspace.pipelines)
        for each in manifest.fields
    ]
    answered = [(each.field.file, each.field.line, each.field.path) for each in adoption.findings]
    assert sorted(answered) == sorted(fields)
    assert all(each.here for each in adoption.findings)
    assert adoption.left == ["copilot/front/addons/table.yml: resources of your own go into "
                             "`stacks/domain/<name>.py`"]  # fmt: skip


@pytest.mark.parametrize(
    ("file", "line", "kind", "words"),
    [
        ("front", 5, Kind.OTHERWISE, "hosted_zone_name"),
        ("front", 6, Kind.NONE, "sticky"),
        ("front", 16, Kind.NONE, "no scaling by the time"),
        ("front", 23, Kind.OTHERWISE, "each process has it"),
        ("front", 24, Kind.NONE, "${HOME} of the shell"),
        ("front", 25, Kind.NONE, "export"),
        ("mailer", 3, Kind.OTHERWISE, "service/Dockerfile"),
        ("mailer", 17, Kind.NONE, "set by Moorage or AWS"),
        ("reports", 3, Kind.OTHERWISE, '`@scheduled_task(cron="0 6 * * MON-FRI")`'),
        ("reports", 4, Kind.OTHERWISE, "timeout"),
        ("old", 3, Kind.NONE, "a second service with a door"),
        ("site", 3, Kind.NONE, "no static sites"),
        ("environments/test", 4, Kind.NONE, "CloudFront"),
        ("pipelines/main", 1, Kind.OTHERWISE, "moor ci github"),
    ],
)
def test_what_is_not_in_the_file_is_said_with_a_reason(
    adoption: Adoption, file: str, line: int, kind: Kind, words: str
) -> None:
    found, here = said(adoption, file, line)
    assert (found, words in here) == (kind, True), here


def test_two_services_that_disagree_are_both_heard(adoption: Adoption) -> None:
    (found,) = (
        each for each in adoption.findings
        if each.field.file == "copilot/reports/manifest.yml" and each.field.path[-1] == "LOG_LEVEL"
    )  # fmt: skip
    assert found.kind is Kind.NONE
    assert found.here.startswith("copilot/mailer/manifest.yml has 'warning'")


def test_an_unknown_field_is_named(shop: Path) -> None:
    file = shop / "copilot/mailer/manifest.yml"
    file.write_text(file.read_text() + "nonsense: {deep: 1}\n")
    found = [each for each in adopt(read_workspace(shop)).findings if "nonsense" in each.field.name]
    assert [(each.field.name, each.kind) for each in found if "mailer" in each.field.file] == [
        ("nonsense.deep", Kind.NONE)
    ]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("@daily", 'cron="0 0 * * *"'),
        ("*/5 * * * *", 'cron="*/5 * * * *"'),
        ("rate(5 minutes)", 'every="5 minutes"'),
        ("@every 1h", 'every="1 hour"'),
        ("none", "no schedule"),
        ("cron(0 6 ? * 2 *)", "by hand"),  # AWS's 2 is Monday, crontab's is Tuesday
        ("cron(0 6 L * ? *)", "by hand"),
    ],
)
def test_a_schedule_is_shown_as_the_code_has_it(given: str, wanted: str) -> None:
    assert wanted in schedule(given)


def test_each_environment_has_a_stage_of_its_own() -> None:
    assert stage_name("eu-production-1") == "eu-production-1"
    assert stage_name("api") == "api-stage"
    assert stage_name("1st") == "stage-1st"
    long = stage_name("production-eu-west-1")
    assert stage_name("production-eu-west-2", {long}) not in {long}


def test_the_command_writes_a_new_file_and_lists_the_rest(
    shop: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "new.toml"
    assert main(["adopt", "copilot", str(shop), "--write", str(file)]) == 0
    out, err = capsys.readouterr()
    assert out == ""
    assert "copilot/front/manifest.yml:6: http.stickiness: no sticky sessions" in err
    assert main(["adopt", "copilot", str(shop / "copilot"), "--write", str(file)]) == 8
    assert "is there already" in capsys.readouterr().err
    assert main(["adopt", "copilot", str(shop), "--json"]) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert told["stages_toml"] == file.read_text()
    assert {each["becomes"] for each in told["fields"]} == set(Kind)


@pytest.mark.parametrize(
    "text", ["a: [", "a: *none", "a: &a [*a]", "a: " + "[" * 2000, "b: !!python/object:os.system x"]
)
def test_a_file_that_is_no_manifest_ends_in_a_sentence(tmp_path: Path, text: str) -> None:
    file = tmp_path / "copilot/api/manifest.yml"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    with pytest.raises(OperatorError, match=r"manifest\.yml cannot be read"):
        read_workspace(tmp_path)


def test_a_few_lines_that_mean_a_million_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "copilot/api/manifest.yml"
    file.parent.mkdir(parents=True)
    lines = ["a: &a0 {x: 1, y: 2}"]
    lines += [f"b{i}: &a{i} {{x: *a{i - 1}, y: *a{i - 1}}}" for i in range(1, 40)]
    file.write_text("\n".join(lines))
    with pytest.raises(OperatorError, match="more than 5000 fields"):
        read_workspace(tmp_path)


def test_a_folder_without_a_workspace_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        read_workspace(tmp_path)


def test_the_page_has_every_rule() -> None:
    assert written("docs/from-copilot.md") == tables(), COMMAND
