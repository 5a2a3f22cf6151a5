"""cdk-nag (AWS Solutions, NIST 800-53 R5) finds nothing that is not acknowledged with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest
from aws_cdk import App
from aws_cdk import aws_s3 as s3

import app
from stacks.build import build_stage
from tests.generated import COMMAND, written
from tests.stacks.scanners.acknowledgements import table
from tests.stacks.templates import PACKS, STAGES, Templates, of_stage, synthesize

MAY_FAIL = {"@aws-cdk/core:failSynthOnValidationErrors": False}


class Silent:
    """Stands where acknowledgements are made, and makes none."""

    @classmethod
    def of(cls, _construct: object) -> "Silent":
        return cls()

    def acknowledge(self, *_: object) -> None:
        pass


def findings(templates: Templates, folder: Path) -> set[tuple[str, str]]:
    """Rule and construct path of all that cdk-nag has to say when nothing is acknowledged."""
    cdk = App(
        context=app.flags() | MAY_FAIL, outdir=str(folder), builtin_cloud_formation_validation=False
    )
    build_stage(cdk, templates.stage)
    cdk.synth()
    report: dict[str, Any] = json.loads((folder / "validation-report.json").read_text())
    return {
        (violation["ruleName"], construct["constructPath"])
        for pack in report["pluginReports"]
        if pack["pluginName"] in PACKS
        for violation in pack["violations"]
        for construct in violation["violatingConstructs"]
    }


@pytest.mark.parametrize("stage", [*STAGES, "with operators' policies"])
def test_each_acknowledgement_answers_a_finding_and_each_finding_is_answered(
    stage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    templates = of_stage(stage) if stage in STAGES else synthesize("prod", operator_policies=True)
    answered = [(rule, path) for rule, path, _ in templates.acknowledged()]
    monkeypatch.setattr("stacks.acknowledge.Validations", Silent)

    found = findings(templates, tmp_path)

    def answers(answer: tuple[str, str], finding: tuple[str, str]) -> bool:
        return answer[0] == finding[0] and f"{finding[1]}/".startswith(f"{answer[1]}/")

    # An unknown or misspelt rule, or one that is no longer needed, answers nothing.
    assert [each for each in answered if not any(answers(each, one) for one in found)] == []
    assert [one for one in found if not any(answers(each, one) for each in answered)] == []


def test_a_finding_without_a_reason_stops_synthesis(tmp_path: Path) -> None:
    cdk = App(context=app.flags(), outdir=str(tmp_path), builtin_cloud_formation_validation=False)
    stacks = build_stage(cdk, of_stage("dev").stage)
    s3.Bucket(stacks.data, "Forgotten")

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        cdk.synth()


def test_each_reason_is_a_sentence(templates: Templates) -> None:
    for rule, path, reason in templates.acknowledged():
        assert len(reason) > 30, (rule, path)
        assert reason.endswith("."), (rule, path)


def test_docs_list_every_acknowledgement() -> None:
    assert written("docs/security.md") == table(), COMMAND
