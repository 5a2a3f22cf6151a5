"""cfn-lint has nothing to say of the role of a pipeline."""

from pathlib import Path

from tests.stacks.scanners.test_lint import lint
from tests.stacks.test_pipeline_role import template


def test_cfn_lint_finds_nothing_in_the_role_of_a_pipeline(tmp_path: Path) -> None:
    template(tmp_path, github="acme/shop")

    result = lint([str(path) for path in tmp_path.glob("*.template.json")])

    assert result.stdout == ""
    assert result.returncode == 0, result.stderr
