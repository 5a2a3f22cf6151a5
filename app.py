"""The CDK app of one stage: `cdk deploy --all -c stage=dev -c worker_desired_count=3`.

The only reader of CDK context: `stage`, and any key of `stacks/config/stage.py`.
"""

import json
import os
import sys
from pathlib import Path

from service.escape import escape
from stacks.config.checks import check_stage
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.stages_file import chosen_name
from stacks.config.values import ConfigError
from stacks.node import use_own_node
from stacks.served_queues import check_served

use_own_node()  # the CDK is imported only later: it takes seconds, a wrong value is told at once

CDK_JSON = Path(__file__).parent / "cdk.json"
CONTEXT_VARIABLE = "CDK_CONTEXT_JSON"  # set by the CDK's command line


def context() -> dict[str, object]:
    """The context that `cdk` passes, or the flags of cdk.json for plain `python app.py`."""
    if given := os.environ.get(CONTEXT_VARIABLE):
        found: dict[str, object] = json.loads(given)
        return found
    return flags()


def flags() -> dict[str, object]:
    """The feature flags of cdk.json, which decide about logical ids and defaults."""
    found: dict[str, object] = json.loads(CDK_JSON.read_text("utf-8-sig"))["context"]
    return found


def chosen_stage(given: dict[str, object]) -> Stage:
    """The stage that the context asks for, checked. Raises `ConfigError`."""
    # The CDK's own keys are feature flags (@aws-cdk/…) and cached look-ups (kind:account=…).
    ours = {key: value for key, value in given.items() if not set(key) & set("@:/")}
    stage = read_stage(chosen_name(ours.pop("stage", None)), ours)
    check_stage(stage)
    return stage


def main() -> int:
    """Synthesize; returns 1 and prints the reasons if the configuration cannot be deployed."""
    given = context()
    try:
        stage = chosen_stage(given)
        check_served(stage)
    except ConfigError as error:
        return refuse(error)
    if note := note_of(stage):
        print("note:", note, file=sys.stderr)
    from stacks.build import synthesize  # noqa: PLC0415 - see above

    try:
        synthesize(stage, given)
    except ConfigError as error:
        return refuse(error)
    return 0


def note_of(stage: Stage) -> str | None:
    if not (stage.is_protected and stage.first_deploy):
        return None
    return (
        f"first_deploy: stage {stage.stage} gets no deletion and termination protection now. "
        "After this deploy, deploy again without first_deploy."
    )


def refuse(error: ConfigError) -> int:
    print("error:", escape(str(error), keep="\n"), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
