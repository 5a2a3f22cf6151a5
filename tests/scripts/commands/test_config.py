"""`moor config` shows each value of a stage and the table that it is from."""

import json

import pytest

from scripts.cli import main
from stacks.config.read_stage import explain_stage, nested
from stacks.config.stage import CONFIGURABLE


def test_each_key_has_its_value_and_its_table(capsys: pytest.CaptureFixture[str]) -> None:
    stage, lines = explain_stage("prod")
    assert main(["config", "--stage", "prod", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert set(found) >= {nested(key) for key in CONFIGURABLE} - {"first_deploy"}
    assert {each["from"] for each in found.values()} >= {"default", "stages.toml [prod]"}
    assert found["worker.queues"]["value"] == ["default"]
    for key in set(CONFIGURABLE) - {"first_deploy"}:
        value = getattr(stage, key)
        if key != "worker_queues":
            as_json = list(value) if isinstance(value, tuple) else value
            assert found[nested(key)]["value"] == as_json
        assert (found[nested(key)]["from"] == "default") == (key not in lines)


def test_a_table_for_people_says_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--stage", "prod"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["Key", "Value", "From"]
    assert ["is_protected", "true", "stages.toml", "[prod]"] in lines
    assert ["account", "-", "default"] in lines


def test_a_stage_that_is_none_is_refused_with_those_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["config", "--stage", "production"]) == 2
    assert "'production' is not one of dev, prod" in capsys.readouterr().err
