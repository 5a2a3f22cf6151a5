"""What the table `telemetry` of a stage adds, and what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest

from service.contract import EnvVar, ProcessName
from stacks.config.checks import check_stage
from stacks.config.read_stage import read_stage
from stacks.config.values import ConfigError
from stacks.service import collector
from tests.stacks.rules.task_definitions import TASK, containers
from tests.stacks.templates import Templates, of, stage_of, synthesize


def told(templates: Templates) -> dict[str, dict[str, str]]:
    """The plain variables of telemetry of each container of the image."""
    return {
        container["Name"]: {
            each["Name"]: each["Value"]
            for each in container["Environment"]
            if each["Name"].startswith("OTEL_")
        }
        for container in containers(templates)
    }


def build_arguments(templates: Templates) -> list[dict[str, str]]:
    return [
        image["source"].get("dockerBuildArgs", {})
        for file in templates.folder.glob("*.assets.json")
        for image in json.loads(file.read_text()).get("dockerImages", {}).values()
    ]


def egress(templates: Templates) -> dict[str, set[int]]:
    """The ports to which each group of ECS tasks may go out."""
    return {
        group.id: {rule["FromPort"] for rule in group.properties.get("SecurityGroupEgress", [])}
        for group in templates.all("AWS::EC2::SecurityGroup")
        if str(group.get("GroupDescription")).startswith("ECS tasks of")
    }


def test_an_endpoint_is_told_to_api_and_workers_and_can_be_reached() -> None:
    templates = synthesize("dev", telemetry_endpoint="https://otlp.example.com:4318/x")
    address = {EnvVar.OTEL_EXPORTER_OTLP_ENDPOINT: "https://otlp.example.com:4318/x"}
    assert told(templates) == {"migrate": {}, "api": address, "worker": address}
    assert build_arguments(templates) == [{"REQUIREMENTS": "requirements-telemetry.lock"}]
    assert all(4318 in ports for ports in egress(templates).values())


def test_a_collector_runs_beside_each_process_and_may_only_send_traces() -> None:
    templates = synthesize("dev", telemetry_collector=True)
    address = {
        EnvVar.OTEL_EXPORTER_OTLP_ENDPOINT: collector.ADDRESS,
        EnvVar.OTEL_METRICS_EXPORTER: "none",
    }
    assert told(templates) == {"migrate": {}, "api": address, "worker": address}
    for definition in templates.all(TASK):
        found = {each["Name"]: each for each in definition.get("ContainerDefinitions")}
        own = found[collector.COLLECTOR]
        assert own["Essential"] is False
        assert own["ReadonlyRootFilesystem"] is True
        assert own["Memory"] == collector.MEMORY_MIB
        assert own["HealthCheck"]["Command"] == ["CMD", "/healthcheck"]
        assert own["Image"].endswith(":v0.49.0")
        assert "Secrets" not in own
        process = found.keys() & {ProcessName.API, ProcessName.WORKER}
        started = {each["ContainerName"] for each in found[process.pop()]["DependsOn"]}
        assert started == {ProcessName.MIGRATE, collector.COLLECTOR}
        (config,) = (each["Value"] for each in own["Environment"] if "CONFIG" in each["Name"])
        text = config if isinstance(config, str) else "".join(map(str, config["Fn::Join"][1]))
        assert "localhost:4318" in text
    assert {each for each in actions(templates) if each.startswith("xray:")} == {
        "xray:PutTelemetryRecords", "xray:PutTraceSegments",
    }  # fmt: skip


def actions(templates: Templates) -> set[str]:
    found: set[str] = set()
    for policy in templates.all("AWS::IAM::ManagedPolicy"):
        for statement in policy.get("PolicyDocument")["Statement"]:
            given = statement["Action"]
            found |= {given} if isinstance(given, str) else set(given)
    return found


def test_without_the_table_nothing_is_added() -> None:
    templates = of(stage_of("dev"))
    assert told(templates) == {"migrate": {}, "api": {}, "worker": {}}
    assert build_arguments(templates) == [{}]
    assert not any(each.startswith("xray:") for each in actions(templates))


def test_a_secret_of_sentry_brings_its_library(tmp_path: Path) -> None:
    file = tmp_path / "stages.toml"
    file.write_text('[dev]\nsecrets = ["SENTRY_DSN"]\n[prod.telemetry]\ncollector = true\n')
    assert read_stage("dev", file=file).has_telemetry
    assert read_stage("prod", file=file).has_telemetry
    assert not read_stage("local", file=file).has_telemetry


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("dev", {"telemetry_endpoint": "otlp.example.com"}, "telemetry_endpoint = "),
        ("dev", {"telemetry_endpoint": "https://u:secret@x.de"}, "telemetry_endpoint = "),
        ("dev", {"telemetry_endpoint": "https://x.de:99999"}, "there is no port 99999"),
        ("dev", {"telemetry_colector": True}, "did you mean telemetry_collector?"),
        ("local", {"telemetry_collector": True}, "[local.telemetry] with collector = false"),
        ("dev", {"telemetry_collector": True, "egress": "endpoints"}, "public.ecr.aws"),
        ("dev", {"telemetry_collector": True, "telemetry_endpoint": "https://x.de"}, "not to both"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(name: str, given: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigError) as refused:
        check_stage(stage_of(name, **given))
    assert says in str(refused.value)
