"""`moor doctor`: what is wrong with a stage, or with templates before they are deployed."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from scripts.aws import connect
from scripts.doctor.live_system import read_live_system
from scripts.doctor.report import show
from scripts.doctor.roots import read_roots
from scripts.doctor.rule import judge
from scripts.doctor.rules import RULES
from scripts.doctor.synthesized_system import read_system
from scripts.target import find_stage
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption

TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="Check this folder of the CDK (cdk.out/dev) instead of what is deployed.",
        metavar="FOLDER",
    ),
]


def doctor(
    stage: StageOption = DEFAULT_STAGE,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """What is wrong and how to mend it: why jobs do not run, and what will cause trouble later.

    The exit code is 1 where there is an error.
    """
    now, roots = datetime.now(UTC), read_roots()
    if template is None:
        system = read_live_system(connect(stage), now=now, ca_ends=roots)
    else:
        system = read_system(template, find_stage(stage), now=now, ca_ends=roots)
    show(judge(RULES, system), as_json=as_json)
