"""Accepts findings of cdk-nag on a construct, with a reason; docs/security.md lists them."""

from aws_cdk import Acknowledgment, Stack, Token, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reason: str, *ids: str) -> None:
    """Accept the findings `ids` on `construct` and everything inside it, for `reason`."""
    for finding in ids:
        Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def arn_as_found(scope: IConstruct, service: str) -> str:
    """The start of an ARN as a finding writes it: `<AWS::Region>` for what only a deploy knows."""
    here = Stack.of(scope)
    parts = {"Partition": here.partition, "Region": here.region, "AccountId": here.account}
    partition, region, account = (
        f"<AWS::{name}>" if Token.is_unresolved(value) else value for name, value in parts.items()
    )
    return f"arn:{partition}:{service}:{region}:{account}"
