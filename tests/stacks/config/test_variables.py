"""A project's own variables: read for a stage, and told to the containers they are for."""

from pathlib import Path

import pytest

from service.contract import EnvVar, ProcessName
from stacks.config.read_stage import explain_stage, read_stage
from stacks.config.values import ConfigError
from stacks.config.variables import FREE, INSTEAD, of_process
from tests.stacks.config.configurations import of_a_project

FILE = """
[env]
SITE_NAME = "Shop"
DEBUG = false
[worker.env]
BATCH_ROWS = 100
[prod.env]
SITE_NAME = "The Shop"
[prod.worker.env]
SITE_NAME = "The Workshop"
RATE = 0.5
[staging]
extends = "prod"
[staging.env]
SITE_NAME = "A Shop"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "stages.toml").write_text(FILE)
    return tmp_path / "stages.toml"


@pytest.mark.parametrize(
    ("stage", "api", "worker"),
    [
        ("local", {"SITE_NAME": "Shop"}, {"SITE_NAME": "Shop"}),
        ("prod", {"SITE_NAME": "The Shop"}, {"SITE_NAME": "The Workshop", "RATE": "0.5"}),
        ("staging", {"SITE_NAME": "A Shop"}, {"SITE_NAME": "The Workshop", "RATE": "0.5"}),
    ],
)
def test_each_process_is_told_what_is_closest_to_it(
    stage: str, api: dict[str, str], worker: dict[str, str], file: Path
) -> None:
    found = read_stage(stage, file=file).variables
    both = {"DEBUG": "false"}
    assert of_process(found, ProcessName.API) == both | api
    assert of_process(found, ProcessName.WORKER) == both | {"BATCH_ROWS": "100"} | worker


def test_one_deploy_may_have_another_value(file: Path) -> None:
    stage, lines = explain_stage("prod", {"env.SITE_NAME": "Sale"}, file=file)
    assert of_process(stage.variables, ProcessName.API)["SITE_NAME"] == "Sale"
    assert lines["env.SITE_NAME"].table == "-c"


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        *(
            (name, '"x"', "is set by Moorage or AWS")
            for name in EnvVar
            if name not in FREE and name not in INSTEAD
        ),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", '"x"', "is the key telemetry.endpoint"),
        ("SENTRY_DSN", '"x"', "is a secret: name it in secrets"),
        ("AWS_PROFILE", '"x"', "is set by Moorage or AWS"),
        ("site_name", '"x"', "a variable is A-Z, 0-9 and _"),
        ("1ST", '"x"', "a variable is A-Z"),
        ("A.B", '"x"', "a variable is A-Z"),
        ("A-B", '"x"', "a variable is A-Z"),
        ("A", "[1]", "allowed is a text, a number, true or false"),
        ("A", "2026-01-01", "allowed is a text, a number, true or false"),
        ("A", "{ B = 1 }", "allowed is a text, a number, true or false"),
        ("A", f'"{"x" * 4097}"', "is longer than 4096 characters"),
        ("A", '"\\u0000"', "or holds NUL"),
    ],
)
def test_a_wrong_variable_is_named_without_its_value(
    name: str, value: str, says: str, file: Path
) -> None:
    for table in ("env", "dev.env", "dev.worker.env"):
        file.write_text(f'[dev]\n[{table}]\n"{name}" = {value}\n')
        with pytest.raises(ConfigError) as refused:
            read_stage("dev", file=file)
        (problem,) = refused.value.problems
        assert problem.startswith(f"{table.removeprefix('dev.')}.{name}: {says}") or says in problem


def test_containers_are_told_theirs_and_migrate_nothing() -> None:
    templates = of_a_project()
    told = {
        container["Name"]: {each["Name"]: each["Value"] for each in container["Environment"]}
        for definition in templates.all("AWS::ECS::TaskDefinition")
        for container in definition.get("ContainerDefinitions")
    }
    assert told["api"]["SITE_NAME"] == told["worker"]["SITE_NAME"] == "Shop"
    assert told["worker"]["BATCH_ROWS"] == "5"
    assert "BATCH_ROWS" not in told["api"]
    assert not {"SITE_NAME", "BATCH_ROWS"} & told["migrate"].keys()
