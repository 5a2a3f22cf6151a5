"""cfn-lint has nothing to say, neither error nor warning."""

import subprocess
import sys
from pathlib import Path

from tests.stacks.templates import deployed, projects_stages

CFN_LINT = Path(sys.executable).with_name("cfn-lint")
REDUNDANT_DEPENDENCY = "W3005"  # CDK writes down dependencies that a reference implies


def lint(paths: list[str]) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [CFN_LINT, "--ignore-checks", REDUNDANT_DEPENDENCY, "--", *paths],
        capture_output=True,
        text=True,
        check=False,
    )


def test_cfn_lint_finds_nothing_in_any_stage_of_the_project() -> None:
    stages = projects_stages().values()
    result = lint([path for stage in stages for path in deployed(stage).paths()])

    assert result.stdout == ""
    assert result.returncode == 0, result.stderr


def test_cfn_lint_would_find_something(tmp_path: Path) -> None:
    template = tmp_path / "wrong.template.json"
    template.write_text('{"Resources": {"Queue": {"Type": "AWS::SQS::Queue", "Propertiez": {}}}}')

    assert lint([str(template)]).returncode != 0
