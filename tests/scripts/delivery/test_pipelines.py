"""What `moor ci` writes: accepted by the forge, safe, and the README's commands in their order."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.cli import main
from scripts.commands.ci import write
from scripts.delivery import github, gitlab
from scripts.delivery.plan import ACTIVATE, CHECKS, SET_UP, Deployment, deployments
from scripts.errors import RefusedError, UsageError
from service.contract import LOCAL_STAGE
from stacks.config.stages_file import stage_names
from tests.conftest import ROOT

PLAN = [
    Deployment("test", is_protected=False, is_arm=True),
    Deployment("live-1", is_protected=True, is_arm=False),
    Deployment("live-2", is_protected=True, is_arm=True),
]
NAMES = [each.stage for each in PLAN]
GITHUB = github.workflow(PLAN, branch="trunk", by_hand=False)
BY_HAND = github.workflow(PLAN, branch="trunk", by_hand=True)
GITLAB = gitlab.workflow(PLAN, branch="trunk")
DOCUMENTED = (ROOT / "README.md").read_text() + (ROOT / "docs/delivery.md").read_text()
PINNED = re.compile(r"^ *(?:- )?uses: [\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$")


def jobs(text: str) -> dict[str, Any]:
    """The jobs of a workflow of GitHub's."""
    found: dict[str, Any] = yaml.safe_load(text)["jobs"]
    return found


def lines_of(job: dict[str, Any]) -> list[str]:
    """What a job of GitHub's types."""
    return [line for step in job["steps"] for line in step.get("run", "").splitlines()]


def check(tool: str, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [Path(sys.executable).with_name(tool), *arguments],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_github_s_schema_and_a_search_for_unsafe_things_accept_the_workflow(tmp_path: Path) -> None:
    files = [tmp_path / "reviewed.yml", tmp_path / "by-hand.yml"]
    for file, text in zip(files, (GITHUB, BY_HAND), strict=True):
        file.write_text(text)
    names = list(map(str, files))
    schema = ["--builtin-schema", "vendor.github-workflows"]
    done = check("check-jsonschema", *schema, *names)
    assert done.returncode == 0, done.stdout
    unsafe = check("zizmor", "--offline", "--persona", "pedantic", *names)
    assert unsafe.returncode == 0, unsafe.stdout

    files[0].write_text(GITHUB.replace("run: make check", "run: echo ${{ github.head_ref }}"))
    files[1].write_text(GITHUB.replace("runs-on:", "runs_on:"))
    assert check("zizmor", "--offline", names[0]).returncode != 0
    assert check("check-jsonschema", *schema, names[1]).returncode != 0


def test_gitlab_s_schema_accepts_the_pipeline(tmp_path: Path) -> None:
    file = tmp_path / ".gitlab-ci.yml"
    arguments = ["--builtin-schema", "vendor.gitlab-ci", "--data-transform", "gitlab-ci"]
    file.write_text(GITLAB)
    done = check("check-jsonschema", *arguments, str(file))
    assert done.returncode == 0, done.stdout
    file.write_text(GITLAB.replace("timeout:", "time_out:"))
    assert check("check-jsonschema", *arguments, str(file)).returncode != 0


def test_a_push_is_checked_and_the_stages_follow_one_another() -> None:
    found = jobs(GITHUB)
    assert yaml.safe_load(GITHUB)[True] == {"push": {"branches": ["**"]}}  # YAML 1.1 reads `on`
    assert list(found) == ["check", *(f"deploy-{name}" for name in NAMES)]
    assert "if" not in found["check"]
    assert [found[f"deploy-{name}"]["needs"] for name in NAMES] == [
        "check", "deploy-test", "deploy-live-1",
    ]  # fmt: skip
    pipeline = yaml.safe_load(GITLAB)
    assert pipeline["stages"] == ["check", *NAMES]
    assert pipeline["workflow"]["rules"] == [{"if": "$CI_COMMIT_BRANCH"}]


def test_only_the_branch_is_deployed_and_each_stage_as_its_own_environment() -> None:
    for name in NAMES:
        job = jobs(GITHUB)[f"deploy-{name}"]
        assert job["if"] == "github.ref == 'refs/heads/trunk'"
        assert job["environment"] == name  # what the role's trust policy asks for
        of_gitlab = yaml.safe_load(GITLAB)[f"deploy-{name}"]
        assert of_gitlab["rules"][0]["if"] == '$CI_COMMIT_BRANCH == "trunk"'
        assert of_gitlab["environment"] == {"name": name}


def test_a_protected_stage_waits_for_a_person() -> None:
    of_gitlab = yaml.safe_load(GITLAB)
    assert [of_gitlab[f"deploy-{name}"]["rules"][0].get("when") for name in NAMES] == [
        None, "manual", "manual",
    ]  # fmt: skip
    found = jobs(BY_HAND)
    assert "workflow_dispatch" in yaml.safe_load(BY_HAND)[True]
    asked = {
        name: re.findall("event_name == '(.*)'", found[f"deploy-{name}"]["if"]) for name in NAMES
    }
    assert asked == {
        "test": ["push"], "live-1": ["workflow_dispatch"], "live-2": ["workflow_dispatch"],
    }  # fmt: skip
    # A job after one that is skipped would be skipped, too.
    assert [found[f"deploy-{name}"]["needs"] for name in NAMES] == [
        "check", "check", "deploy-live-1",
    ]  # fmt: skip


def test_every_action_is_pinned_to_a_commit_and_every_image_to_a_digest() -> None:
    used = [line for line in (GITHUB + BY_HAND).splitlines() if "uses:" in line]
    assert len(used) == 2 * (1 + 2 * len(PLAN))
    assert [line for line in used if not PINNED.match(line)] == []
    pipeline = yaml.safe_load(GITLAB)
    for image in (pipeline["default"]["image"], *pipeline[".deploy"]["services"]):
        assert re.fullmatch(r"\S+@sha256:[0-9a-f]{64}", image)


def test_a_job_has_the_rights_of_its_own_work_an_end_and_no_password() -> None:
    assert yaml.safe_load(GITHUB)["permissions"] == {}
    for name, job in jobs(GITHUB).items():
        rights = {"contents": "read"} | ({"id-token": "write"} if name != "check" else {})
        assert job["permissions"] == rights
        assert 0 < job["timeout-minutes"] <= 60
        assert job["concurrency"]["group"].startswith(name)
    for name in NAMES:
        assert jobs(GITHUB)[f"deploy-{name}"]["concurrency"]["cancel-in-progress"] is False
        assert yaml.safe_load(GITLAB)[f"deploy-{name}"]["resource_group"] == name
    assert "secrets" not in json.dumps([yaml.safe_load(text) for text in (GITHUB, BY_HAND, GITLAB)])


def test_an_image_is_built_on_the_processor_that_runs_it() -> None:
    on = [jobs(GITHUB)[f"deploy-{name}"]["runs-on"].endswith("-arm") for name in NAMES]
    assert on == [each.is_arm for each in PLAN]
    of_gitlab = yaml.safe_load(GITLAB)
    tags = [of_gitlab[f"deploy-{name}"]["tags"][0].endswith("-arm64") for name in NAMES]
    assert tags == [each.is_arm for each in PLAN]


def test_its_steps_are_the_documented_commands_in_their_order() -> None:
    found = jobs(GITHUB)
    assert lines_of(found["check"]) == [*CHECKS]
    of_gitlab = yaml.safe_load(GITLAB)
    assert of_gitlab["check"]["script"] == [*CHECKS]
    for each in PLAN:
        wanted = [SET_UP, ACTIVATE, each.command]
        assert lines_of(found[f"deploy-{each.stage}"]) == wanted
        assert of_gitlab[f"deploy-{each.stage}"]["script"] == wanted
    for line in (*CHECKS, SET_UP, ACTIVATE, PLAN[0].command.replace("test", "dev")):
        assert line in DOCUMENTED


def test_each_make_command_is_there_in_a_clean_folder(tmp_path: Path) -> None:
    """They take minutes, so `make` says here what it would do; `.ci/run` does it, and the last step
    runs in tests/stacks/test_deploy.py."""
    for name in ("Makefile", "stages.toml", "package-lock.json"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())

    def dry_run(line: str) -> int:
        command = ["make", "--dry-run", *line.split()[1:]]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, check=False).returncode

    assert [line for line in (*CHECKS, SET_UP) if dry_run(line) != 0] == []
    assert dry_run("make no-such-target") != 0


def test_the_stages_are_those_of_the_file_or_those_that_are_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    known = [name for name in stage_names() if name != LOCAL_STAGE]
    assert [each.stage for each in deployments([])] == known
    assert [each.stage for each in deployments(known[::-1])] == known[::-1]
    for wrong in (["nowhere"], [LOCAL_STAGE], [known[0], known[0]]):
        with pytest.raises(UsageError):
            deployments(wrong)
    assert main(["ci", "github", "--print", "--stages", known[0]]) == 0
    assert list(jobs(capsys.readouterr().out)) == ["check", f"deploy-{known[0]}"]
    assert main(["ci", "gitlab", "--print", "--branch", "a b"]) == 2
    assert "is not the name of a branch" in capsys.readouterr().err


def test_a_file_that_differs_is_shown_and_stays(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ".github/workflows/delivery.yml"
    assert write(file, "a\nb\n", force=False)
    assert not write(file, "a\nb\n", force=False)
    with pytest.raises(RefusedError, match="is there already"):
        write(file, "a\nc\n", force=False)
    assert file.read_text() == "a\nb\n"
    assert {"-b", "+c"} <= set(capsys.readouterr().out.splitlines())
    assert write(file, "a\nc\n", force=True)
    assert file.read_text() == "a\nc\n"
