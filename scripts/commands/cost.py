"""`moor cost`: what a stage costs in a month."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from scripts.cost.estimate import Estimate, estimate
from scripts.cost.prices import read_prices
from scripts.target import find_stage
from scripts.templates.synthesis import synthesized
from scripts.templates.template import read_template
from scripts.terminal.answer import print_json, print_table, say
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption, stages
from service.contract import LOCAL_STAGE

TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template",
        help="Read this folder of the CDK (cdk.out/dev), instead of synthesizing the code now.",
        metavar="FOLDER",
    ),
]


def cost(
    stage: StageOption = DEFAULT_STAGE,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a stage costs in a month, computed from its templates; this needs no AWS account."""
    if template is None and stage == LOCAL_STAGE:
        if as_json:
            print_json({"items": [], "at_rest": 0, "at_most": 0})
        other = next((name for name in stages() if name != LOCAL_STAGE), "NAME")
        say(
            f"Stage local runs on this machine and costs nothing; `moor cost --stage {other}` "
            "shows what a stage on AWS costs."
        )
        return None
    # A stage without a certificate cannot be deployed unless HTTP is allowed; it costs the same.
    keys = {} if find_stage(stage).is_https else {"allow_http": "true"}
    with nullcontext(template) if template else synthesized(stage, **keys) as folder:
        found = estimate(read_template(folder), read_prices())
    if as_json:
        sums = {"at_rest": found.at_rest, "at_most": found.at_most}
        return print_json(vars(found) | sums)
    print_table(("USD a month", "at most", "share", ""), list(_rows(found)))
    say("")
    say(f"List prices of {found.region}, looked up on {found.checked}. Paid by use on top:")
    for note in found.by_use:
        say(f"  {note}")
    if found.unchecked:
        say(f"No source was found for the price of: {', '.join(found.unchecked)}")
    if found.unknown:
        say(f"Not in the sum, because their price is not known: {', '.join(found.unknown)}")
    return None


def _rows(found: Estimate) -> list[tuple[str, str, str, str]]:
    whole = found.at_rest or 1
    rows = [
        (f"{item.at_rest:.2f}", f"{item.at_most:.2f}", f"{item.at_rest / whole:.0%}", item.what)
        for item in found.items
    ]
    return [*rows, (f"{found.at_rest:.2f}", f"{found.at_most:.2f}", "", "in all")]
