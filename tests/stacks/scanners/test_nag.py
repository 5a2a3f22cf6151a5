"""cdk-nag (AWS Solutions, NIST 800-53 R5) finds nothing that is not acknowledged with a reason."""

import json
from pathlib import Path
from typing import Any

import pytest

import app
from stacks.config.stage import Stage
from tests.generated import COMMAND, written
from tests.stacks.scanners.acknowledgements import table
from tests.stacks.templates import (
    NO_DOMAINS,
    PACKS,
    STAGES,
    Templates,
    deployed,
    of_stage,
    projects_stages,
    synthesize,
)

MAY_FAIL = {"@aws-cdk/core:failSynthOnValidationErrors": False}


CARELESS = """
from aws_cdk import aws_s3

def resources(domain):
    aws_s3.Bucket(domain, "Forgotten")
"""


class Silent:
    """Stands where acknowledgements are made, and makes none."""

    @classmethod
    def of(cls, _construct: object) -> "Silent":
        return cls()

    def acknowledge(self, *_: object) -> None:
        pass


def findings(templates: Templates, folder: Path) -> set[tuple[str, str]]:
    """Rule and construct path of all that cdk-nag has to say when nothing is acknowledged."""
    from aws_cdk import App

    from stacks.build import build_stage

    cdk = App(
        context=app.flags() | MAY_FAIL, outdir=str(folder), builtin_cloud_formation_validation=False
    )
    build_stage(cdk, templates.stage, domains=NO_DOMAINS)
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


def test_a_finding_without_a_reason_stops_synthesis(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here of a domain's bucket without encryption."""
    from aws_cdk import App

    from stacks.build import build_stage

    (tmp_path / "careless").mkdir()
    (tmp_path / "careless/shop.py").write_text(CARELESS)
    monkeypatch.syspath_prepend(tmp_path)
    cdk = App(
        context=app.flags(), outdir=str(tmp_path / "out"), builtin_cloud_formation_validation=False
    )
    build_stage(cdk, of_stage("dev").stage, domains="careless")

    with pytest.raises(RuntimeError, match="ValidationFailed"):
        cdk.synth()
    report = json.loads((tmp_path / "out/validation-report.json").read_text())
    assert "NIST.800.53.R5-S3DefaultEncryptionKMS" in str(report)
    assert "Domain/shop/Forgotten" in str(report)


@pytest.mark.parametrize("stage", projects_stages().values(), ids=list(projects_stages()))
def test_each_reason_is_a_sentence(stage: Stage) -> None:
    for rule, path, reason in deployed(stage).acknowledged():
        assert len(reason) > 20, (rule, path)
        assert reason.endswith("."), (rule, path)


def test_docs_list_every_acknowledgement() -> None:
    assert written("docs/security.md") == table(), COMMAND
