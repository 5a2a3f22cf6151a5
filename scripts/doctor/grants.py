"""What roles, and whoever asks, are allowed, as IAM tells it."""

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.aws import Aws
from scripts.doctor.model import Role, Statement
from scripts.doctor.policy import read_statements
from scripts.errors import OperatorError

# On any ECS task, and on any key.
ASKED = ("ssm:StartSession", "kms:GenerateDataKey")


def read_role(aws: Aws, name: str) -> Role:
    """A role with the statements of its own and of its attached policies."""
    statements: list[Statement] = []
    for document in _documents(aws, name):
        statements += read_statements(document)
    return Role(name=name, statements=tuple(statements))


def _documents(aws: Aws, role: str) -> Iterator[Mapping[str, Any]]:
    for name in aws.pages("iam", "list_role_policies", "PolicyNames", RoleName=role):
        yield aws.call("iam", "get_role_policy", RoleName=role, PolicyName=name)["PolicyDocument"]
    attached = aws.pages("iam", "list_attached_role_policies", "AttachedPolicies", RoleName=role)
    for policy in attached:
        arn = policy["PolicyArn"]
        version = aws.call("iam", "get_policy", PolicyArn=arn)["Policy"]["DefaultVersionId"]
        found = aws.call("iam", "get_policy_version", PolicyArn=arn, VersionId=version)
        yield found["PolicyVersion"]["Document"]


def read_caller(aws: Aws) -> dict[str, bool]:
    """May whoever asks do these? By IAM's simulation, which needs a permission of its own."""
    if aws.target.is_local:
        raise OperatorError("the local twin refuses nobody anything")
    arn = aws.call("sts", "get_caller_identity")["Arn"]
    found = aws.call(
        "iam", "simulate_principal_policy", PolicySourceArn=_source(arn), ActionNames=list(ASKED)
    )
    return {
        each["EvalActionName"]: each["EvalDecision"] == "allowed"
        for each in found["EvaluationResults"]
    }


def _source(arn: str) -> str:
    """A session's role: the simulation takes no session."""
    if ":assumed-role/" not in arn:
        return arn
    account, role = arn.split(":")[4], arn.split("/")[1]
    return f"{':'.join(arn.split(':')[:2])}:iam::{account}:role/{role}"
