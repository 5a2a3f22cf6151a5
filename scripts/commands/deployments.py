"""`moor deployments`: which releases there were, and which one runs."""

from scripts.aws import Aws, connect
from scripts.ecs.releases import Release, find_releases
from scripts.ecs.services import find_services
from scripts.terminal.answer import print_json, print_table
from scripts.terminal.options import DEFAULT_STAGE, JsonOption, StageOption
from service.contract import ProcessName
from stacks.config.naming import Output

TAG_CHARACTERS = 12  # an asset's tag is a hash


def deployments(as_json: JsonOption = False, stage: StageOption = DEFAULT_STAGE) -> None:
    """The last releases: image, revisions, how their deployment went."""
    aws = connect(stage)
    found = find_releases(aws, find_services(aws), template_of(aws))
    if as_json:
        return print_json(found)
    print_table(
        ("release", "image", "registered (UTC)", "api", "worker", "deployment", ""),
        [
            (
                each.name, each.image_tag[:TAG_CHARACTERS], f"{each.registered:%Y-%m-%d %H:%M:%S}",
                each.api.number, each.worker.number, each.state, marks(each),
            )
            for each in found
        ],
    )  # fmt: skip
    return None


def marks(release: Release) -> str:
    """What is special about it."""
    found = [
        "runs" if release.is_running else "",
        "in the stack's template" if release.is_template else "",
        release.reason if release.has_failed else "",
    ]
    return ", ".join(each for each in found if each) or " "


def template_of(aws: Aws) -> dict[ProcessName, str]:
    """The ARNs of the task definitions that the stack says."""
    return {
        ProcessName.API: aws.output(Output.API_TASK_DEFINITION),
        ProcessName.WORKER: aws.output(Output.WORKER_TASK_DEFINITION),
    }
