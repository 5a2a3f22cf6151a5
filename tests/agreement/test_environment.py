"""What the containers are told is what the service reads."""

import json
from typing import Any

import pytest

from service.contract import ProcessName, UiSecretField
from service.settings import settings_of
from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import STAGES, Templates, every_stage, of, of_stage, synthesize

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


def stages() -> list[Templates]:
    return [
        *map(of, every_stage().values()),
        synthesize("dev", email_from="hello@example.com", sqs_queue="jobs.fifo"),
    ]


def test_every_container_starts_with_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed = 0
    for templates in stages():
        for container in containers(templates):
            with monkeypatch.context() as patch:
                for name, given in environment(container).items():
                    patch.setenv(name, given)
                settings = settings_of(ProcessName(container["Name"]))()
                assert settings.stage == templates.stage.stage
                assert settings.app_name == templates.stage.app_name
                assert settings.database_secret_arn
                parsed += 1
    assert parsed == 4 * len(stages())


def test_no_container_is_told_what_nobody_reads() -> None:
    for templates in stages():
        of_the_project = {each.name for each in templates.stage.variables}
        for container in containers(templates):
            read = {
                name.upper() for name in settings_of(ProcessName(container["Name"])).model_fields
            }
            assert set(environment(container)) <= read | of_the_project


def test_figures_arrive_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = synthesize(
        "dev", worker_concurrency=7, worker_pool_size=5, worker_queue_pool_size=3, drain_seconds=42,
        email_from="hello@example.com",
    )  # fmt: skip
    (worker,) = (each for each in containers(templates) if each["Name"] == ProcessName.WORKER)
    for name, given in environment(worker).items():
        monkeypatch.setenv(name, given)
    settings = settings_of(ProcessName.WORKER)()
    assert settings.worker_concurrency == 7
    assert (settings.database_pool_size, settings.queue_pool_size) == (5, 3)
    assert settings.drain_seconds == 42
    assert settings.email_from == "hello@example.com"
    assert settings.is_local is False


def test_secrets_of_the_job_pages_are_read_by_the_names_they_are_made_with() -> None:
    for stage in STAGES:
        templates = of_stage(stage)
        made = templates.one("AWS::SecretsManager::Secret", "SecretsUi").get("GenerateSecretString")
        fields = {*json.loads(made["SecretStringTemplate"]), made["GenerateStringKey"]}
        (api,) = (each for each in containers(templates) if each["Name"] == ProcessName.API)
        read = {
            str(each["ValueFrom"]["Fn::Join"][1][1]).strip(":")
            for each in api["Secrets"]
            if each["Name"].startswith("UI_")
        }
        assert fields == read == set(UiSecretField)
