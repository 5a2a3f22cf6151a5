"""Builds the three stacks of a stage, in the order of their deployment."""

from dataclasses import dataclass

from aws_cdk import App, Validations
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.network.network_stack import NetworkStack
from stacks.service.service_stack import ServiceStack


@dataclass(frozen=True)
class StageStacks:
    network: NetworkStack
    data: DataStack
    service: ServiceStack


def build_stage(app: App, stage: Stage) -> StageStacks:
    """Add the stage's stacks to `app`. A finding of cdk-nag stops the synth unless accepted."""
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    network = NetworkStack(app, stage)
    data = DataStack(app, stage, network=network.network, key=network.key)
    service = ServiceStack(app, stage, network=network.network, key=network.key, data=data)
    return StageStacks(network, data, service)
