"""What README.md says of the money; `make docs` writes it anew."""

from scripts.cost.estimate import estimate
from scripts.cost.prices import read_prices
from scripts.templates.template import read_template
from tests.stacks.templates import of_stage

LARGEST = 5


def sentence() -> str:
    """The sum and the largest parts, in whole USD: what costs a cent more says the same."""
    dev = of_stage("dev")
    found = estimate(read_template(dev.folder), read_prices())
    prefix = f"{dev.stage.names.prefix}-"
    parts = "".join(
        f"- {each.at_rest:.0f} USD: {each.what.removeprefix(prefix)}\n"
        for each in found.items[:LARGEST]
    )
    return (
        f"`dev` costs about {found.at_rest:.0f} USD a month at rest. The largest parts:\n\n{parts}"
    )
