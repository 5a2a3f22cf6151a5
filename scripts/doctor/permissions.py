"""Does a role allow an action?"""

from fnmatch import fnmatchcase

from scripts.doctor.model import Role


def allows(role: Role, action: str, resource: str = "*") -> bool:
    """By its own statements; what denies, limits or is asked of others is not looked at."""
    return any(
        any(fnmatchcase(action.lower(), pattern.lower()) for pattern in statement.actions)
        and any(
            pattern == resource or fnmatchcase(resource, pattern) for pattern in statement.resources
        )
        for statement in role.statements
    )


def secret_name(value_from: str) -> str:
    """The secret in what ECS is told of one: without the key of its JSON and the version."""
    if value_from.startswith("arn:"):
        return ":".join(value_from.split(":")[:7])
    return value_from.partition(":")[0]
