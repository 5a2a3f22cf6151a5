"""What the containers are told is what the service reads."""

from typing import Any

import pytest

from service.contract import ProcessName
from service.settings import settings_of
from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import Templates, every_stage, of

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
