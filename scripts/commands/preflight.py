"""`moor preflight`: what would stop a deploy, before somebody waits for it."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from scripts.aws import connect
from scripts.doctor.report import show
from scripts.doctor.rule import judge
from scripts.errors import UsageError
from scripts.preflight.live_account import read_account
from scripts.preflight.rules import RULES
from scripts.templates.synthesis import synthesized
from scripts.terminal.options import JsonOption, StageOption
from service.contract import LOCAL_STAGE

TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="Templates that the CDK has written (cdk.out/prod), instead of those of the code now.",
        metavar="FOLDER",
    ),
]


def preflight(
    stage: StageOption, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """What would stop a deploy: the account, its quotas, what is left of an earlier deploy, a
    change that CloudFormation cannot make. It reads, and changes nothing.

    Example: `moor preflight --stage prod`. Ends with 1 where there is an error.
    """
    if stage == LOCAL_STAGE:
        raise UsageError(
            f"stage {LOCAL_STAGE} needs no account", "`moor up` starts it; --stage names another."
        )
    aws = connect(stage)
    with nullcontext(template) if template else synthesized(stage) as folder:
        report = judge(RULES, read_account(aws, folder))
    show(report, as_json=as_json)
