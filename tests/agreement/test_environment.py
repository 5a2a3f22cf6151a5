"""What the containers are told is what the service reads."""

from typing import Any

import pytest

from service.contract import LOCAL_STAGE, ProcessName
from service.domain_settings import domain_problems
from service.settings import settings_of
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import Templates, deployed, every_stage, of, projects_stages

STAGES = every_stage()
PLACEHOLDER = "x" * 20


def value(given: Any) -> str:
    """A value as CloudFormation might fill it in: each unknown part is some text, or a port."""
    if isinstance(given, str):
        return given
    ((function, argument),) = given.items()
    if function == "Fn::Join":
        return str(argument[0]).join(value(part) for part in argument[1])
    return "5432" if "Port" in str(argument) else PLACEHOLDER


def environment(container: dict[str, Any]) -> dict[str, str]:
    plain = {each["Name"]: value(each["Value"]) for each in container["Environment"]}
    return plain | {each["Name"]: PLACEHOLDER for each in container.get("Secrets", [])}


def starts(templates: Templates, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each container's settings can be read from what it is told."""
    found = containers(templates)
    for container in found:
        with monkeypatch.context() as patch:
            for name, given in environment(container).items():
                patch.setenv(name, given)
            settings = settings_of(ProcessName(container["Name"]))()
            assert settings.stage == templates.stage.stage
            assert settings.app_name == templates.stage.app_name
            assert settings.database_secret_arn
    assert len(found) >= 4  # API and worker, and the migrations of each


def reads_everything(templates: Templates) -> None:
    """No container is told what neither the service nor the project reads."""
    stage = templates.stage
    of_the_project = {each.name for each in stage.variables}
    of_the_project |= {each.name for each in stage.secrets}
    for container in containers(templates):
        read = {name.upper() for name in settings_of(ProcessName(container["Name"])).model_fields}
        assert set(environment(container)) <= read | of_the_project


@pytest.mark.parametrize("stage", STAGES)
def test_every_container_starts_with_what_it_is_told(
    stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    starts(of(STAGES[stage]), monkeypatch)


@pytest.mark.parametrize("stage", STAGES)
def test_no_container_is_told_what_nobody_reads(stage: str) -> None:
    reads_everything(of(STAGES[stage]))


@pytest.mark.parametrize("stage", projects_stages().values(), ids=list(projects_stages()))
def test_what_domains_read_is_told_in_every_stage_of_the_project(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {each.name for each in read_stage(LOCAL_STAGE).variables}:
        monkeypatch.delenv(name, raising=False)
    for container in containers(deployed(stage)):
        process = ProcessName(container["Name"])
        with monkeypatch.context() as patch:
            for name, given in environment(container).items():
                patch.setenv(name, given)
            assert domain_problems(process) == []
