"""`moor doctor`: what is wrong with a stage, or with templates before they are deployed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from scripts.answer import print_json, print_line, say
from scripts.aws import connect
from scripts.doctor.live import look_at
from scripts.doctor.roots import read_roots
from scripts.doctor.rule import Report, judge
from scripts.doctor.rules import RULES
from scripts.doctor.template import read_system
from scripts.options import DEFAULT_STAGE, JsonOption, StageOption
from scripts.target import find_stage

TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="Judge this folder of the CDK (cdk.out/dev) instead of what is deployed.",
        metavar="FOLDER",
    ),
]


def doctor(
    stage: StageOption = DEFAULT_STAGE,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is wrong, and how to mend it: why jobs do not run, and what will hurt later.

    Ends with 1 where there is an error.
    """
    now, roots = datetime.now(UTC), read_roots()
    if template is None:
        system = look_at(connect(stage), now=now, ca_ends=roots)
    else:
        system = read_system(template, find_stage(stage), now=now, ca_ends=roots)
    report = judge(RULES, system)
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
