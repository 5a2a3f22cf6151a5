"""Builds the three stacks of a stage, in the order of their deployment, and what domains add."""

from dataclasses import dataclass

from aws_cdk import App, Validations
from aws_cdk.cx_api import CloudAssembly
from cdk_nag import AwsSolutionsChecks, NIST80053R5Checks

from stacks.config.stage import Stage
from stacks.data.data_stack import DataStack
from stacks.domains import PACKAGE, add_domains
from stacks.network.network_stack import NetworkStack
from stacks.service.service_stack import ServiceStack


@dataclass(frozen=True)
class StageStacks:
    network: NetworkStack
    data: DataStack
    service: ServiceStack


def build_stage(app: App, stage: Stage, *, domains: str = PACKAGE) -> StageStacks:
    """Add the stage's stacks to `app`, with the domains of that package.

    A finding of cdk-nag stops the synth unless accepted. Raises `ConfigError`.
    """
    Validations.of(app).add_plugins(AwsSolutionsChecks(app), NIST80053R5Checks(app))
    network = NetworkStack(app, stage)
    data = DataStack(app, stage, network=network.network, key=network.key)
    service = ServiceStack(app, stage, network=network.network, key=network.key, data=data)
    added = add_domains(service, domains)
    if stage.operator_policies:
        service.add_operator_policies([policy for each in added for policy in each.policies])
    return StageStacks(network, data, service)


def synthesize(
    stage: Stage, given: dict[str, object], *, folder: str | None = None, domains: str = PACKAGE
) -> CloudAssembly:
    """Write the stage's templates and assets to `folder`, or where the CDK's command line says.

    Raises `ConfigError`, as the modules of the package `domains` may.
    """
    # The CDK's own validation is off: it takes half of the time of a synthesis, and cfn-lint checks
    # more in the tests. cdk-nag runs anyway.
    app = App(context=given, outdir=folder, builtin_cloud_formation_validation=False)
    build_stage(app, stage, domains=domains)
    return app.synth()
