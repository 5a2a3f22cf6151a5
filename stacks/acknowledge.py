"""Accepts findings of the checks on a construct, with a reason; docs/security.md lists those of
Moorage itself."""

import re

from aws_cdk import Acknowledgment, CfnResource, Stack, Token, Validations
from constructs import IConstruct

CFN_LINT = re.compile(r"[EWI]\d{4}")


def acknowledge(construct: IConstruct, reason: str, *ids: str) -> None:
    """Accept the findings `ids` on `construct` and everything inside it, for `reason`.

    They are of cdk-nag (`AwsSolutions-S1`), checkov (`CKV_AWS_18`) or cfn-lint (`W3005`). A finding
    of the last two is not accepted on what is put inside later.
    """
    for finding in ids:
        if finding.startswith("CKV"):
            # https://www.checkov.io/2.Basics/Suppressing%20and%20Skipping%20Policies.html
            _add(construct, "checkov", ("skip",), {"id": finding, "comment": reason})
        elif CFN_LINT.fullmatch(finding):
            # https://github.com/aws-cloudformation/cfn-lint#template-based-metadata
            _add(construct, "cfn-lint", ("config", "ignore_checks"), finding)
        else:
            Validations.of(construct).acknowledge(Acknowledgment(id=finding, reason=reason))


def _add(construct: IConstruct, tool: str, keys: tuple[str, ...], finding: object) -> None:
    """One more in the list that the tool reads from the metadata of a resource."""
    for each in construct.node.find_all():
        if isinstance(each, CfnResource):
            found = each.get_metadata(tool) or {}
            for key in keys:
                found = found.get(key, {})
            value: object = [*found, finding]
            for key in reversed(keys):
                value = {key: value}
            each.add_metadata(tool, value)


def arn_as_found(scope: IConstruct, service: str) -> str:
    """The start of an ARN as a finding writes it: `<AWS::Region>` for what only a deploy knows."""
    here = Stack.of(scope)
    parts = {"Partition": here.partition, "Region": here.region, "AccountId": here.account}
    partition, region, account = (
        f"<AWS::{name}>" if Token.is_unresolved(value) else value for name, value in parts.items()
    )
    return f"arn:{partition}:{service}:{region}:{account}"
