"""The CDK app of a pipeline's role, deployed once for each stage by a person:

cdk deploy --app "python -m stacks.delivery" -c stage=prod -c github=acme/shop

Reads the context `stage`, and the keys of `stacks/config/pipeline.py`. A pipeline does not deploy
it: what it may do is not its own to change.
"""

import sys
from collections.abc import Mapping

from stacks.node import use_own_node

use_own_node()

from aws_cdk import App, Validations  # noqa: E402 - Node is chosen first
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks  # noqa: E402

from stacks.config.pipeline import QUALIFIER_KEY, read_pipeline  # noqa: E402
from stacks.config.read_stage import read_stage  # noqa: E402
from stacks.config.stages_file import chosen_name  # noqa: E402
from stacks.config.values import ConfigError  # noqa: E402
from stacks.delivery.pipeline_stack import PipelineStack  # noqa: E402


def build_pipeline(app: App, given: Mapping[str, object]) -> PipelineStack:
    """Add the stack that the context asks for. Raises `ConfigError`."""
    # The CDK's own keys are feature flags (@aws-cdk/…) and cached look-ups (kind:account=…).
    ours = {
        key: value
        for key, value in given.items()
        if not set(key) & set("@:/") or key == QUALIFIER_KEY
    }
    stage = read_stage(chosen_name(ours.pop("stage", None)))
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    return PipelineStack(app, stage, read_pipeline(stage.stage, ours))


def main() -> int:
    """Synthesize; returns 1 and prints the reasons if the context says something else."""
    app = App(builtin_cloud_formation_validation=False)
    try:
        build_pipeline(app, app.node.get_all_context())
    except ConfigError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
