"""`moor preflight`: what would stop a deploy, before you wait for it."""

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
        help="Read this folder of the CDK (cdk.out/prod), instead of synthesizing the code now.",
        metavar="FOLDER",
    ),
]


def preflight(
    stage: StageOption, template: TemplateOption = None, as_json: JsonOption = False
) -> None:
    """What would stop a deploy: the account, its quotas, leftovers of an earlier deploy, a change
    that CloudFormation cannot make. It only reads.

    Example: `moor preflight --stage prod`. The exit code is 1 where there is an error.
    """
    if stage == LOCAL_STAGE:
        raise UsageError(
            f"stage {LOCAL_STAGE} needs no account",
            "`moor up` starts it; --stage chooses another stage.",
        )
    aws = connect(stage)
    with nullcontext(template) if template else synthesized(stage) as folder:
        report = judge(RULES, read_account(aws, folder))
    show(report, as_json=as_json)
