"""Prints what the rules found, for people or as JSON."""

import typer

from scripts.doctor.rule import Report
from scripts.terminal.answer import print_json, print_line, say


def show(report: Report, *, as_json: bool) -> None:
    """Print the report. Raises `typer.Exit` with code 1 where a finding is an error."""
    if as_json:
        print_json(report)
    else:
        _print(report)
    if report.has_errors:
        raise typer.Exit(1)


def _print(report: Report) -> None:
    for finding in report.findings:
        print_line(f"{finding.severity}: {finding.message}  [{finding.id}]")
        print_line(f"  {finding.fix}")
        print_line(f"  {finding.link}")
    for id, why in report.not_checked.items():
        say(f"not checked: {id}: {why}")
    say(
        f"{len(report.findings)} findings, {len(report.passed)} rules passed, "
        f"{len(report.not_checked)} not checked"
    )
