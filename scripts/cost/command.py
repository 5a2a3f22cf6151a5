"""`moor cost`: what a stage costs in a month."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.answer import print_json, print_table, say
from scripts.cost.estimate import Estimate, estimate
from scripts.cost.prices import read_prices
from scripts.options import DEFAULT_STAGE, JsonOption, StageOption
from scripts.template import CDK_OUT, read_template

TemplateOption = Annotated[
    Path | None,
    typer.Option(
        "--template", help="A folder of the CDK; without it cdk.out/STAGE.", metavar="FOLDER"
    ),
]


def cost(
    stage: StageOption = DEFAULT_STAGE,
    template: TemplateOption = None,
    as_json: JsonOption = False,
) -> None:
    """What a stage costs in a month, from its template: no account needed."""
    found = estimate(read_template(template or CDK_OUT / stage), read_prices())
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
        say(f"Not in the sum, for nobody has given their price: {', '.join(found.unknown)}")
    return None


def _rows(found: Estimate) -> list[tuple[str, str, str, str]]:
    whole = found.at_rest or 1
    rows = [
        (f"{item.at_rest:.2f}", f"{item.at_most:.2f}", f"{item.at_rest / whole:.0%}", item.what)
        for item in found.items
    ]
    return [*rows, (f"{found.at_rest:.2f}", f"{found.at_most:.2f}", "", "in all")]
