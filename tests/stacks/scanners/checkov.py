"""`make checkov`: what it finds in the templates of dev and prod, with the project's domains, is
what docs/security.md lists. A domain accepts findings beside the construct.

checkov lives in .venv-checkov, an environment of its own, and is kept from asking for newer ones.
"""

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT
from tests.stacks.templates import deployed, stage_of

CHECKOV = ROOT / ".venv-checkov/bin/checkov"
LIST = ROOT / "docs/security.md"
STAGES = ("dev", "prod")
ROW = re.compile(r"^\| `(CKV\w+)` \| `(\w+/\w+)` \| ([\w, ]+) \| (.+) \|$", re.MULTILINE)


@dataclass(frozen=True, order=True)
class Finding:
    """A check that failed for a resource: its stack, and its logical id without CDK's hash."""

    stage: str
    check: str
    resource: str

    def __str__(self) -> str:
        return f"{self.stage}: {self.check} {self.resource}"


def listed() -> dict[Finding, str]:
    """Every finding that may stand, with its reason."""
    return {
        Finding(stage, check, resource): reason
        for check, resource, stages, reason in ROW.findall(LIST.read_text())
        for stage in stages.split(", ")
    }


def scan(stage: str, folder: Path) -> set[Finding]:
    """What checkov has to say of the templates in `folder`."""
    result = subprocess.run(
        [CHECKOV, "--directory", folder, "--framework", "cloudformation", "--skip-download",
         "--quiet", "--compact", "--output", "json"],
        env={**os.environ, "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true"},  # noqa: TID251
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if not result.stdout:
        raise RuntimeError(result.stderr)
    report = json.loads(result.stdout)
    summary = report["summary"]
    # A template that it cannot read is no template without findings.
    assert summary["parsing_errors"] == 0, report
    assert summary["resource_count"] > 100, summary
    return {
        Finding(stage, each["check_id"], f"{_stack(each['file_path'])}/{_id(each['resource'])}")
        for each in report["results"]["failed_checks"]
    }


def _stack(file: str) -> str:
    return file.removesuffix(".template.json").rpartition("-")[2]


def _id(resource: str) -> str:
    return resource.rpartition(".")[2][:-8]


def difference(found: set[Finding], known: set[Finding]) -> list[str]:
    """What is wrong with the list, a line each; nothing where it is exact."""
    return [f"not listed: {each}" for each in sorted(found - known)] + [
        f"listed, and not found any more: {each}" for each in sorted(known - found)
    ]


def main() -> int:
    # With what is deployed on request, too.
    folders = {stage: deployed(stage_of(stage, operator_policies=True)).folder for stage in STAGES}
    found = {each for stage, folder in folders.items() for each in scan(stage, folder)}
    for line in (wrong := difference(found, set(listed()))):
        print(f"{LIST.relative_to(ROOT)}: {line}", file=sys.stderr)  # noqa: T201
    if not wrong:
        print(f"checkov: {len(found)} findings, each listed with its reason")  # noqa: T201
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
