"""What the domains need from AWS: a module of `stacks/domain/` has one or more of these functions.

- `worker_rights(scope, stage) -> list[Right]`: the rights of the domain's jobs
- `endpoints(stage) -> dict[str, InterfaceVpcEndpointAwsService]`: AWS services that they call, by
  construct id
- `lifecycle_rules(stage) -> list[LifecycleRule]`: when its objects in the stage's bucket expire
"""

import importlib
import pkgutil
from dataclasses import dataclass
from types import ModuleType

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from constructs import Construct

from stacks.config.stage import Stage

PACKAGE = "stacks.domain"
FUNCTIONS = {"worker_rights", "endpoints", "lifecycle_rules"}


@dataclass(frozen=True)
class Right:
    """A statement, and the reason for each finding of cdk-nag that is accepted on it."""

    statement: iam.PolicyStatement
    acknowledged: dict[str, str]


def worker_rights(scope: Construct, stage: Stage, package: str = PACKAGE) -> list[Right]:
    """The rights of all domains, in the order of their names."""
    return [
        right
        for module in _modules(package)
        if hasattr(module, "worker_rights")
        for right in module.worker_rights(scope, stage)
    ]


def endpoints(
    stage: Stage, package: str = PACKAGE
) -> dict[str, ec2.InterfaceVpcEndpointAwsService]:
    """The endpoints of all domains, by construct id."""
    found: dict[str, ec2.InterfaceVpcEndpointAwsService] = {}
    for module in _modules(package):
        if hasattr(module, "endpoints"):
            found |= module.endpoints(stage)
    return found


def lifecycle_rules(stage: Stage, package: str = PACKAGE) -> list[s3.LifecycleRule]:
    """The lifecycle rules of all domains, in the order of their names."""
    return [
        rule
        for module in _modules(package)
        if hasattr(module, "lifecycle_rules")
        for rule in module.lifecycle_rules(stage)
    ]


def _modules(package: str) -> list[ModuleType]:
    """The modules in the order of their names. Raises `AttributeError` for one without any of the
    functions."""
    try:
        folder = importlib.import_module(package)
    except ModuleNotFoundError as error:
        if error.name != package:
            raise
        return []
    names = sorted(each.name for each in pkgutil.iter_modules(folder.__path__))
    found = [importlib.import_module(f"{package}.{name}") for name in names]
    for module in found:
        if not FUNCTIONS & vars(module).keys():
            raise AttributeError(f"{module.__file__} has none of {', '.join(sorted(FUNCTIONS))}")
    return found
