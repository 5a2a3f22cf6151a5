"""What a pipeline does: which stages it deploys, in which order, and by which commands.

The commands are those of README.md, so that what fails in the pipeline can be typed by a person.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from scripts.errors import UsageError
from service.contract import LOCAL_STAGE
from stacks.config.read_stage import read_stage
from stacks.config.stage import Stage
from stacks.config.stages_file import stage_names

CHECKS = ("make check", "make synth", "make test")
SET_UP = "make setup cdk"
ACTIVATE = "source .venv/bin/activate"
# The tests take about 9 minutes on two cores. The credentials of a deployment end after an hour.
CHECK_MINUTES, DEPLOY_MINUTES = 45, 60


@dataclass(frozen=True)
class Deployment:
    """One stage that the pipeline deploys, after the one before it."""

    stage: str
    is_protected: bool
    is_arm: bool  # the image is built on a machine with the processor that runs it

    @property
    def command(self) -> str:
        # Nobody is there to answer. Reviewed was the change of the code.
        return f"npx cdk deploy --all --require-approval never -c stage={self.stage}"


def deployments(stages: Sequence[str]) -> list[Deployment]:
    """Those of `stages`, or of all stages of stages.toml in their order there, but for the twin's.

    Raises `UsageError` for a stage that is not there, or comes twice.
    """
    known = [name for name in stage_names() if name != LOCAL_STAGE]
    if wrong := [name for name in stages if name not in known]:
        raise UsageError(
            f"--stages: {', '.join(map(repr, wrong))}: of stages.toml these can be deployed: "
            f"{', '.join(known) or 'none'}",
            f"Name them in the order of their deployment: --stages {','.join(known) or 'STAGE'}",
        )
    if len(set(stages)) < len(stages):
        raise UsageError(
            "--stages: a stage comes twice", f"Name each once: --stages {','.join(known)}"
        )
    if not (wanted := [*stages] or known):
        raise UsageError(
            "stages.toml has no stage that could be deployed", "docs/stages.md says how to add one."
        )
    return [_deployment(read_stage(name)) for name in wanted]


def _deployment(stage: Stage) -> Deployment:
    return Deployment(stage.stage, stage.is_protected, stage.cpu_architecture == "arm64")
