"""What stages.toml says arrives in the containers, under the names that the service reads."""

import json

import pytest

from service.contract import ProcessName, UiSecretField
from service.settings import settings_of
from tests.agreement.test_environment import environment, reads_everything, starts
from tests.stacks.rules.task_definitions import containers
from tests.stacks.templates import STAGES, of_stage, synthesize


def test_names_of_optional_parts_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    templates = synthesize("dev", email_from="hello@example.com", sqs_queue="jobs.fifo")
    starts(templates, monkeypatch)
    reads_everything(templates)


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
