"""`python app.py` and `cdk synth`, as people run them: without AWS."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import app
from stacks.config.values import ConfigError
from tests.conftest import ROOT
from tests.stacks.templates import CERTIFICATE, NO_DOMAINS, stage_of

NOWHERE = "http://127.0.0.1:9"  # nobody listens there: whoever asks the network fails


def environment(folder: Path, **context: object) -> dict[str, str]:
    """No credentials, no region, no network; the context as the CDK's command line hands it."""
    kept = {"PATH", "HOME", "TMPDIR", "LANG"}
    return {
        **{name: value for name, value in os.environ.items() if name in kept},  # noqa: TID251
        "HTTPS_PROXY": NOWHERE,
        "HTTP_PROXY": NOWHERE,
        "AWS_EC2_METADATA_DISABLED": "true",
        "CDK_OUTDIR": str(folder),
        "CDK_CONTEXT_JSON": json.dumps(app.flags() | context),
    }


def run(folder: Path, **context: object) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "app.py"],
        cwd=ROOT,
        env=environment(folder, **context),
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_stage_synthesizes_without_network_and_credentials(tmp_path: Path) -> None:
    given = {"stage": "prod", "certificate_arn": CERTIFICATE, "first_deploy": True}
    result = run(tmp_path, **given)

    assert result.returncode == 0
    stage = app.chosen_stage(given)
    assert result.stderr == f"note: {app.note_of(stage)}\n"
    names = stage.names
    for stack in (names.network_stack, names.data_stack, names.service_stack):
        assert (tmp_path / f"{stack}.template.json").exists()


def test_a_first_deploy_says_that_the_locks_are_still_to_come() -> None:
    given: dict[str, object] = {"stage": "prod", "certificate_arn": CERTIFICATE}
    assert app.note_of(app.chosen_stage(given)) is None
    note = app.note_of(app.chosen_stage(given | {"first_deploy": True}))
    assert note
    assert note.startswith("first_deploy: stage prod gets no deletion and termination protection")
    assert "deploy again without" in note
    assert app.note_of(app.chosen_stage({"stage": "dev", "first_deploy": True})) is None


def test_a_command_line_value_reaches_the_template() -> None:
    stage = app.chosen_stage(app.flags() | {"stage": "dev", "worker_desired_count": "3"})
    assert stage.worker_desired_count == 3
    assert app.chosen_stage(app.flags()).stage == "dev"


def test_a_wrong_value_ends_in_one_message_and_no_traceback(tmp_path: Path) -> None:
    result = run(tmp_path, stage="dev", worker_desired_cont=3, worker_cpu=3)

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "error: the configuration has 2 problem(s):",
        "  worker_desired_cont: no such key; did you mean worker_desired_count?",
        "  worker_cpu = 3: allowed is one of 256, 512, 1024, 2048, 4096, 8192, 16384",
    ]


def test_a_key_is_no_command_to_the_terminal(tmp_path: Path) -> None:
    result = run(tmp_path, **{"stage": "dev", "env.\x1b[2J": "x", "\x1b]0;x\x07": 1})

    assert result.returncode == 1
    assert "\x1b" not in result.stderr
    assert "\x07" not in result.stderr
    assert len(result.stderr.splitlines()) == 3


def test_remembered_look_ups_and_flags_are_not_taken_for_settings() -> None:
    given = {"availability-zones:account=1:region=eu-central-1": ["a"], "@aws-cdk/core:x": True}
    assert app.chosen_stage(given).stage == "dev"
    with pytest.raises(ConfigError, match="worker-count: no such key"):
        app.chosen_stage({"worker-count": 3})


@pytest.mark.parametrize("name", ["dev", "local"])
def test_an_edit_outside_the_image_builds_no_new_one(name: str, tmp_path: Path) -> None:
    from stacks.build import synthesize

    stage = stage_of(name)
    synthesize(stage, app.flags(), folder=str(tmp_path), domains=NO_DOMAINS)
    assets = [path for path in tmp_path.glob("asset.*") if path.is_dir()]
    with_service = [path for path in assets if (path / "service").exists()]
    assert len(with_service) == (0 if stage.image else 1)
    for path in with_service:
        held = {each.name for each in path.iterdir()}
        assert held == {
            "service", "requirements.lock", "requirements-telemetry.lock", ".dockerignore",
        }  # fmt: skip
        assert not (path / "service/testing").exists()
