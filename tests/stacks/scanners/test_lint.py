"""cfn-lint has nothing to say, neither error nor warning."""

import subprocess
import sys
from pathlib import Path

from service.contract import LOCAL_STAGE
from tests.stacks.pipeline_template import pipeline_template
from tests.stacks.templates import deployed, projects_stages

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
REDUNDANT_DEPENDENCY = "W3005"  # CDK writes down dependencies that a reference implies


def lint(paths: list[str]) -> "subprocess.CompletedProcess[str]":
    """With a line of its output for each finding, which begins with the path."""
    return subprocess.run(
        [CFN_LINT, "--format=parseable", "--ignore-checks", REDUNDANT_DEPENDENCY, "--", *paths],
        capture_output=True,
        text=True,
        check=False,
    )


def test_cfn_lint_finds_nothing_in_any_stage_of_the_project_and_the_role_of_a_pipeline(
    tmp_path: Path,
) -> None:
    """In one run, which takes it half of the time; it would find something, as the last shows."""
    paths = [path for stage in projects_stages().values() for path in deployed(stage).paths()]
    of_pipeline = [name for name in projects_stages() if name != LOCAL_STAGE][:1]
    for stage in of_pipeline:
        pipeline_template(tmp_path, stage, github="acme/shop")
    paths += [str(path) for path in tmp_path.glob("*.template.json")]
    wrong = tmp_path / "wrong.json"
    wrong.write_text('{"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Propertiez": {}}}}')

    result = lint([*paths, str(wrong)])

    assert [line for line in result.stdout.splitlines() if not line.startswith(f"{wrong}:")] == []
    assert "Propertiez" in result.stdout, result.stderr
    assert len(paths) >= len(projects_stages()) * 3 + len(of_pipeline)
