"""A rule, its findings, and the report of all rules on one system."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Generic, TypeVar

from scripts.doctor.model import NotCheckedError

System = TypeVar("System")
ECS = "https://docs.aws.amazon.com/AmazonECS/latest/developerguide"
AURORA = "https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide"
DOCS = "docs/doctor.md"


class Severity(StrEnum):
    """An error breaks something now, a warning under load or attack; a notice is a choice."""

    ERROR = "error"
    WARNING = "warning"
    NOTICE = "notice"


@dataclass(frozen=True)
class Rule(Generic[System]):
    """One thing to check. `check` yields a sentence for each place where it is wrong."""

    id: str
    severity: Severity
    fix: str
    link: str
    check: Callable[[System], Iterator[str]]


@dataclass(frozen=True)
class Finding:
    """One place where a rule is broken."""

    id: str
    severity: Severity
    message: str
    fix: str
    link: str


@dataclass(frozen=True)
class Report:
    """The findings, the rules that could not be checked and why, and the rules that passed."""

    findings: tuple[Finding, ...]
    not_checked: dict[str, str]
    passed: tuple[str, ...]

    @property
    def has_errors(self) -> bool:
        return any(finding.severity is Severity.ERROR for finding in self.findings)


def rule(
    id: str, severity: Severity, fix: str, link: str = DOCS
) -> Callable[[Callable[[System], Iterator[str]]], Rule[System]]:
    """Decorator that makes a rule of a check."""
    return lambda check: Rule(id, severity, fix, link, check)


def judge(rules: Iterable[Rule[System]], system: System) -> Report:
    """Check every rule; the findings are sorted, errors first."""
    findings: list[Finding] = []
    not_checked: dict[str, str] = {}
    passed: list[str] = []
    for each in rules:
        try:
            messages = list(each.check(system))
        except NotCheckedError as why:
            not_checked[each.id] = str(why)
            continue
        findings += [
            Finding(each.id, each.severity, message, each.fix, each.link) for message in messages
        ]
        if not messages:
            passed.append(each.id)
    order = list(Severity)
    findings.sort(key=lambda finding: order.index(finding.severity))
    return Report(tuple(findings), not_checked, tuple(passed))
