"""`make audit` says what was looked up, and never calls good what nobody has looked at."""

import json

import pytest

from dev.audit import FOUND, GOOD, UNAVAILABLE, read_npm_audit, read_pip_audit, report

# As pip-audit 2.10 and npm 11 write them.
CLEAN = {"dependencies": [{"name": "saq", "version": "0.26.3", "vulns": []}], "fixes": []}
KNOWN = {
    "dependencies": [
        {"name": "saq", "version": "0.26.3", "vulns": []},
        {"name": "jinja2", "version": "2.4.1", "vulns": [
            {"id": "PYSEC-2019-217", "fix_versions": ["2.10.1"], "aliases": []}
        ]},
    ]
}  # fmt: skip
SKIPPED = {"dependencies": [{"name": "saq", "skip_reason": "Dependency not found on PyPI"}]}
HALF = {"dependencies": [*CLEAN["dependencies"], *SKIPPED["dependencies"]]}
NPM_CLEAN = {
    "auditReportVersion": 2, "vulnerabilities": {}, "metadata": {"dependencies": {"total": 2}},
}  # fmt: skip
NPM_KNOWN = {
    **NPM_CLEAN,
    "vulnerabilities": {"aws-cdk": {"severity": "high", "range": "<2.1", "via": []}},
}
NPM_REFUSED = {"message": "405 Method Not Allowed", "error": {"summary": "", "detail": ""}}
NPM_OFFLINE = {"error": {"code": "ENOTFOUND", "summary": "request failed", "detail": ""}}


def code(pip: object, npm: object, complaint: str = "") -> int:
    def text(of: object) -> str:
        return of if isinstance(of, str) else json.dumps(of)

    results = [read_pip_audit("a.lock", text(pip), complaint), read_npm_audit("b", text(npm), "")]
    return report(results)[1]


def test_good_is_what_was_looked_up_whole_and_had_nothing() -> None:
    assert code(CLEAN, NPM_CLEAN) == GOOD


@pytest.mark.parametrize(("pip", "npm"), [(KNOWN, NPM_CLEAN), (CLEAN, NPM_KNOWN), (KNOWN, "")])
def test_a_known_vulnerability_counts_whatever_else_could_not_be_asked(
    pip: object, npm: object
) -> None:
    assert code(pip, npm) == FOUND


@pytest.mark.parametrize(
    ("pip", "npm"),
    [
        ("", NPM_CLEAN), ("ERROR: connection refused", NPM_CLEAN), (SKIPPED, NPM_CLEAN),
        (HALF, NPM_CLEAN), ({"dependencies": []}, NPM_CLEAN), ({}, NPM_CLEAN), ("null", NPM_CLEAN),
        (CLEAN, ""), (CLEAN, NPM_REFUSED), (CLEAN, NPM_OFFLINE), (CLEAN, "null"), (CLEAN, "[]"),
        (CLEAN, {**NPM_CLEAN, "metadata": {"dependencies": {"total": 0}}}),
    ],
)  # fmt: skip
def test_what_nobody_looked_at_is_never_good(pip: object, npm: object) -> None:
    assert code(pip, npm) == UNAVAILABLE


def test_the_sentence_names_the_package_what_is_known_and_where_it_is_mended() -> None:
    lines, _ = report([read_pip_audit("a.lock", json.dumps(KNOWN), "")])

    assert "  jinja2 2.4.1: PYSEC-2019-217, mended in 2.10.1" in lines


def test_the_sentence_says_why_nothing_was_checked() -> None:
    pip = read_pip_audit("a.lock", "", "INFO: asking\nERROR: no route to the index\n")
    lines, _ = report([pip, read_npm_audit("b", json.dumps(NPM_REFUSED), "")])

    assert "a.lock: not audited, or not all of it: ERROR: no route to the index" in lines
    assert "b: not audited, or not all of it: 405 Method Not Allowed" in lines
    assert any(line.startswith("error: the databases") for line in lines)
