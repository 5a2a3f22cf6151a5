"""Findings of cdk-nag that stand, on their constructs, with reasons; listed in docs/security.md."""

from aws_cdk import Acknowledgment, Validations
from constructs import IConstruct


def acknowledge(construct: IConstruct, reason: str, *ids: str) -> None:
    """`ids` may be found on `construct` and what is inside it, for `reason`."""
    for finding in ids:
        Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))
