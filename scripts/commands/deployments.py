"""`moor deployments`: which releases there were, and which one runs."""

from scripts.aws import connect
from scripts.ecs.releases import TAG_CHARACTERS, Release, find_releases, template_of
from scripts.ecs.services import find_services
from scripts.processes import deployed
from scripts.terminal.answer import print_json, print_table
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption


def deployments(as_json: JsonOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """The last releases: image, revisions, and the state of their deployment."""
    aws = connect(stage)
    found = find_releases(aws, find_services(aws), template_of(aws))
    pools = deployed(aws)[2:]
    if as_json:
        return print_json(found)
    print_table(
        ("release", "image", "registered (UTC)", "api", "worker", *pools, "deployment", ""),
        [
            (
                each.name, each.image_tag[:TAG_CHARACTERS], f"{each.registered:%Y-%m-%d %H:%M:%S}",
                each.api.number, each.worker.number,
                *(each.pools[pool].number if pool in each.pools else "" for pool in pools),
                each.state, marks(each),
            )
            for each in found
        ],
    )  # fmt: skip
    return None


def marks(release: Release) -> str:
    """Whether the release runs, whether the template has it, and why it failed."""
    found = [
        "runs" if release.is_running else "",
        "in the stack's template" if release.is_template else "",
        release.reason if release.has_failed else "",
    ]
    return ", ".join(each for each in found if each) or " "
