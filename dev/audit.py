"""`make audit`: known vulnerabilities of all locked packages, by pip-audit and npm.

Both need a database on the internet. Where it does not answer, the exit code is 69 (EX_UNAVAILABLE
of sysexits.h): packages that could not be checked are never reported as good.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
# `dev` contains requirements.lock, that of the image: tests/dev/test_setup.py checks it.
OF_KIT = ("bench", "checkov")  # a project has them not
LOCKS = (
    "uv", "dev", "audit",
    *(name for name in OF_KIT if (ROOT / f"requirements-{name}.lock").is_file()),
)  # fmt: skip
PIP_AUDIT = ".venv-audit/bin/pip-audit"
GOOD, FOUND, UNAVAILABLE = 0, 1, 69


@dataclass
class Result:
    """The audit of one lock: how many packages were checked, what was found, and why a part could
    not be checked."""

    lock: str
    looked_up: int = 0
    found: list[str] = field(default_factory=list)
    why_not: str = ""


def read_pip_audit(lock: str, output: str, complaint: str) -> Result:
    """From the output of `pip-audit --format json`, which is empty without the database."""
    try:
        packages = json.loads(output)["dependencies"]
    except (ValueError, KeyError, TypeError):
        return Result(lock, why_not=_last_line(complaint))
    skipped = [each for each in packages if "skip_reason" in each]
    found = [
        f"{each['name']} {each['version']}: {known['id']}"
        + (f", mended in {', '.join(known['fix_versions'])}" if known.get("fix_versions") else "")
        for each in packages
        for known in each.get("vulns", [])
    ]
    why_not = f"{skipped[0]['name']}: {skipped[0]['skip_reason']}" if skipped else ""
    if not packages:
        why_not = "it names no package"
    return Result(lock, len(packages) - len(skipped), found, why_not)


def read_npm_audit(lock: str, output: str, complaint: str) -> Result:
    """From the output of `npm audit --json`."""
    try:
        answer = json.loads(output)
        counted = answer["metadata"]["dependencies"]["total"]
        found = [
            f"{name}: {each['severity']}, {each['range']}"
            for name, each in answer["vulnerabilities"].items()
        ]
    except (ValueError, KeyError, TypeError):
        try:
            said = json.loads(output)
            complaint = said.get("message") or said["error"]["summary"]
        except (ValueError, KeyError, TypeError, AttributeError):
            pass
        return Result(lock, why_not=_last_line(complaint))
    return Result(lock, counted, found, "" if counted else "it names no package")


def report(results: Sequence[Result]) -> tuple[list[str], int]:
    """The lines to print, and the exit code."""
    lines = []
    for each in results:
        if each.looked_up:
            count = len(each.found) or "no"
            lines.append(f"{each.lock}: {each.looked_up} packages, {count} known vulnerabilities")
        lines += [f"  {one}" for one in each.found]
        if each.why_not:
            lines.append(f"{each.lock}: not audited, or not all of it: {each.why_not}")
    if any(each.found for each in results):
        lines.append("`make lock ARGS=--upgrade` locks newer versions.")
        return lines, FOUND
    if any(each.why_not or not each.looked_up for each in results) or not results:
        lines.append(
            "error: the databases of vulnerabilities do not answer, so none could be checked\n"
            "  Run it where the registries of Python and npm packages can be reached."
        )
        return lines, UNAVAILABLE
    return lines, GOOD


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it says nothing"])[-1]


def _run(command: Sequence[str]) -> tuple[str, str]:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    except OSError as error:
        return "", str(error)
    return done.stdout, done.stderr


def main() -> int:
    """Audit every lock; returns the exit code."""
    results = []
    for name in LOCKS:
        lock = f"requirements-{name}.lock"
        command = [
            PIP_AUDIT, "--requirement", lock, "--require-hashes", "--disable-pip",
            "--format", "json", "--progress-spinner", "off", "--timeout", "15",
        ]  # fmt: skip
        results.append(read_pip_audit(lock, *_run(command)))
    npm = ["npm", "audit", "--json", "--package-lock-only", "--audit=true", "--offline=false"]
    results.append(read_npm_audit("package-lock.json", *_run(npm)))
    lines, code = report(results)
    sys.stdout.write("\n".join(lines) + "\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
