"""Does a role allow an action?"""

from fnmatch import fnmatchcase

from scripts.doctor.model import Role


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
    if value_from.startswith("arn:"):
        return ":".join(value_from.split(":")[:7])
    return value_from.partition(":")[0]
