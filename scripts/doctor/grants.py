"""What IAM allows roles and the caller."""

from collections.abc import Iterator, Mapping
from typing import Any

from scripts.aws import Aws
from scripts.doctor.model import Role
from scripts.doctor.readers import read_role
from scripts.errors import OperatorError


def find_role(aws: Aws, name: str) -> Role:
    """A role with the statements of its inline and its attached policies."""
    return read_role(name, _documents(aws, name))


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
    """Whether the caller may do what opens a session in an ECS task: an answer for each action.

    `key` encrypts the sessions of ECS exec; it is empty where they have none. IAM's simulation
    answers, which needs a right of its own.
    """
    if aws.target.is_local:
        raise OperatorError("the local twin allows its operator everything")
    wanted: list[tuple[str, dict[str, Any]]] = [("ssm:StartSession", {})]
    if key:
        target = f"ecs:{aws.names.cluster}_task_container"
        named = {
            "ContextKeyName": "kms:EncryptionContext:aws:ssm:TargetId",
            "ContextKeyValues": [target],
            "ContextKeyType": "string",
        }
        wanted.append(("kms:GenerateDataKey", {"ResourceArns": [key], "ContextEntries": [named]}))
    arn = aws.call("sts", "get_caller_identity")["Arn"]
    if arn.endswith(":root"):  # no policy of the account limits the root user
        return dict.fromkeys((action for action, _ in wanted), True)
    source = _policy_source(aws, arn)
    return {action: _is_allowed(aws, source, action, given) for action, given in wanted}


def _is_allowed(aws: Aws, source: str, action: str, given: dict[str, Any]) -> bool:
    found = aws.call(
        "iam", "simulate_principal_policy", PolicySourceArn=source, ActionNames=[action], **given
    )
    return all(each["EvalDecision"] == "allowed" for each in found["EvaluationResults"])


def _policy_source(aws: Aws, arn: str) -> str:
    """The ARN of the user or role whose policies count. The simulation takes no session, and the
    ARN of a session lacks its role's path (roles of IAM Identity Center have one).

    Raises `OperatorError` for a federated user, who has policies of their own.
    """
    kind, _, name = arn.partition(":sts::")[2].partition("/")
    if kind.endswith(":federated-user"):
        raise OperatorError(f"IAM cannot simulate the federated user {name}")
    if not kind.endswith(":assumed-role"):
        return arn
    role: str = aws.call("iam", "get_role", RoleName=name.partition("/")[0])["Role"]["Arn"]
    return role
