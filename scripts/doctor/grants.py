"""What roles, and whoever asks, are allowed, as IAM tells it."""

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.aws import Aws
from scripts.doctor.model import Role, Statement
from scripts.doctor.policy import read_statements
from scripts.errors import OperatorError


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


def read_caller(aws: Aws, key: str) -> dict[str, bool]:
    """May whoever asks open a session in an ECS task past exec, and use `key` for one by exec?

    By IAM's simulation, which needs a right of its own. `key` is empty where sessions have none.
    """
    if aws.target.is_local:
        raise OperatorError("the local twin refuses nobody anything")
    asked: list[tuple[str, dict[str, Any]]] = [("ssm:StartSession", {})]
    if key:
        target = f"ecs:{aws.names.cluster}_task_container"
        named = {
            "ContextKeyName": "kms:EncryptionContext:aws:ssm:TargetId",
            "ContextKeyValues": [target],
            "ContextKeyType": "string",
        }
        asked.append(("kms:GenerateDataKey", {"ResourceArns": [key], "ContextEntries": [named]}))
    arn = aws.call("sts", "get_caller_identity")["Arn"]
    if arn.endswith(":root"):  # whose rights nothing in the account limits
        return dict.fromkeys((action for action, _ in asked), True)
    source = _source(aws, arn)
    return {action: _may(aws, source, action, given) for action, given in asked}


def _may(aws: Aws, source: str, action: str, given: dict[str, Any]) -> bool:
    found = aws.call(
        "iam", "simulate_principal_policy", PolicySourceArn=source, ActionNames=[action], **given
    )
    return all(each["EvalDecision"] == "allowed" for each in found["EvaluationResults"])


def _source(aws: Aws, arn: str) -> str:
    """Whose policies they are: the simulation takes no session, and a session's ARN lacks the path
    of its role (those of IAM Identity Center have one). Raises `OperatorError` for a federated
    user, who has policies of his own."""
    kind, _, name = arn.partition(":sts::")[2].partition("/")
    if kind.endswith(":federated-user"):
        raise OperatorError(f"IAM cannot simulate the federated user {name}")
    if not kind.endswith(":assumed-role"):
        return arn
    role: str = aws.call("iam", "get_role", RoleName=name.partition("/")[0])["Role"]["Arn"]
    return role
