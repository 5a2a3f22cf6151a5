"""Findings of cdk-nag that stand, on their constructs, with reasons; listed in docs/security.md."""

from aws_cdk import Acknowledgment, Stack, Token, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reason: str, *ids: str) -> None:
    """`ids` may be found on `construct` and what is inside it, for `reason`."""
    for finding in ids:
        Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def arn_as_found(scope: IConstruct, service: str) -> str:
    """The start of an ARN as a finding has it: what is known at deploy alone stands by its name."""
    here = Stack.of(scope)
    parts = {"Partition": here.partition, "Region": here.region, "AccountId": here.account}
    partition, region, account = (
        f"<AWS::{name}>" if Token.is_unresolved(value) else value for name, value in parts.items()
    )
    return f"arn:{partition}:{service}:{region}:{account}"
