"""Does a role allow an action?"""

import re
from fnmatch import fnmatchcase

from scripts.doctor.model import Role

READ_SECRET, READ_PARAMETER = "secretsmanager:GetSecretValue", "ssm:GetParameters"
# In a template an ARN has words with colons in them: `AWS::Region`.
SECRET_ARN = re.compile(r"arn:.+?:secret:[^:]+")
PARAMETER_ARN = re.compile(r"arn:.+?:ssm:.+:parameter/")
# What Secrets Manager adds to a name in a secret's ARN.
SUFFIX = "-??????"


def allows(role: Role, action: str, resource: str = "*") -> bool:
    """Does a statement of the role allow it? Denials, conditions and boundaries are not read."""
    return any(
        any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(
            pattern == resource or fnmatchcase(resource, pattern) for pattern in statement.resources
        )
        for statement in role.statements
    )


def secret_name(value_from: str) -> str:
    """The name or ARN of the secret in `valueFrom`, without its JSON key and version."""
    found = SECRET_ARN.match(value_from)
    return found[0] if found else value_from.partition(":")[0]


def is_parameter(value_from: str) -> bool:
    """Is it a parameter of SSM, and no secret?"""
    return PARAMETER_ARN.match(value_from) is not None


def may_read(role: Role, value_from: str) -> bool:
    """May the role read what a container's `valueFrom` names? An ARN without the six characters
    that Secrets Manager adds is judged with them."""
    if is_parameter(value_from):
        return allows(role, READ_PARAMETER, value_from)
    secret = secret_name(value_from)
    return allows(role, READ_SECRET, secret) or allows(role, READ_SECRET, secret + SUFFIX)
