"""The CDK app of one stage: `cdk deploy --all -c stage=dev -c worker_desired_count=3`.

The only reader of CDK context: `stage`, and any key of `stacks/config/stage.py`.
"""

import json
import os
import sys
from pathlib import Path

from stacks.node import use_own_node

use_own_node()

from aws_cdk import App  # noqa: E402 - Node is chosen first
from aws_cdk.cx_api import CloudAssembly  # noqa: E402

from service.escape import escape  # noqa: E402
from stacks.build import build_stage  # noqa: E402
from stacks.config.checks import check_stage  # noqa: E402
from stacks.config.read_stage import read_stage  # noqa: E402
from stacks.config.stage import Stage  # noqa: E402
from stacks.config.stages_file import chosen_name  # noqa: E402
from stacks.config.values import ConfigError  # noqa: E402
from stacks.domains import PACKAGE as DOMAINS  # noqa: E402
from stacks.served_queues import check_served  # noqa: E402

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


def synthesize(
    stage: Stage, given: dict[str, object], *, folder: str | None = None, domains: str = DOMAINS
) -> CloudAssembly:
    """Write the stage's templates and assets to `folder`, or where the CDK's command line says.

    Raises `ConfigError`, as the modules of the package `domains` may.
    """
    # The CDK's own validation is off: it takes half of the time of a synthesis, and cfn-lint checks
    # more in the tests. cdk-nag runs anyway.
    app = App(context=given, outdir=folder, builtin_cloud_formation_validation=False)
    build_stage(app, stage, domains=domains)
    return app.synth()


def main() -> int:
    """Synthesize; returns 1 and prints the reasons if the configuration cannot be deployed."""
    given = context()
    try:
        stage = chosen_stage(given)
        check_served(stage)
    except ConfigError as error:
        return refuse(error)
    if stage.is_protected and stage.first_deploy:
        print(
            f"note: first_deploy: stage {stage.stage} gets no deletion and termination protection "
            "now. After this deploy, deploy again without first_deploy.",
            file=sys.stderr,
        )
    try:
        synthesize(stage, given)
    except ConfigError as error:
        return refuse(error)
    return 0


def refuse(error: ConfigError) -> int:
    print("error:", escape(str(error), keep="\n"), file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
