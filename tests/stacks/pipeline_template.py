"""The template of the role of a pipeline, as `cdk synth` makes it, cdk-nag's findings and all."""

import json
from pathlib import Path
from typing import Any

import app
from stacks.config.read_stage import read_stage


def pipeline_template(folder: Path, stage: str, **given: object) -> dict[str, Any]:
    """Synthesized into `folder`."""
    from aws_cdk import App

    from stacks.delivery.__main__ import build_pipeline

    cdk = App(
        context=app.flags() | {"stage": stage} | given,
        outdir=str(folder), builtin_cloud_formation_validation=False,
    )  # fmt: skip
    build_pipeline(cdk, cdk.node.get_all_context())
    cdk.synth()
    made: dict[str, Any] = json.loads(
        (folder / f"{read_stage(stage).names.delivery_stack}.template.json").read_text()
    )
    return made
