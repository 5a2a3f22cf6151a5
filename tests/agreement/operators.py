"""The tables of docs/operators.md; `make docs` writes them anew."""

from collections.abc import Iterable, Iterator, Mapping

from scripts.commands import COMMANDS
from stacks.config.operator_rights import RIGHTS, Level, Right
from tests.agreement.aws_calls import OF_DEPLOYERS, Call, Source

# https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
FREE = {"sts:GetCallerIdentity"}
# They go on without it, and say what they could not see.
OPTIONAL = {
    "status": {"secretsmanager:GetSecretValue"},
    "doctor": {"secretsmanager:GetSecretValue"},
}


def needed(calls: Iterable[Call], rights: Iterable[Right] = RIGHTS) -> dict[Call, list[Right]]:
    """For each call the statements it needs: one that allows it, and those for what AWS asks for
    beside it."""
    table = list(rights)
    return {
        call: [
            right
            for right in table
            if call.right in (right.beside or right.actions) and right.output in (None, call.output)
        ]
        for call in calls
        if call.right not in FREE
    }


def differences(
    commands: Mapping[str, Iterable[Call]], rights: Iterable[Right] = RIGHTS
) -> Iterator[str]:
    """A line for each call that no policy allows, and for each right that no command uses."""
    table = list(rights)
    used: set[tuple[str, str]] = set()
    for command, calls in commands.items():
        for call, found in needed(calls, table).items():
            direct = [right for right in found if not right.beside]
            if not direct:
                about = f" of {call.output}" if call.output else ""
                yield f"`moor {command}` calls {call.right}{about} ({call.where}): no policy has it"
            used |= {(right.sid, call.right) for right in direct}
            used |= {(right.sid, action) for right in found if right.beside for action in
                     right.actions}  # fmt: skip
    for right in table:
        for action in right.actions:
            if (right.sid, action) not in used:
                yield f"{right.level} has {action} ({right.sid}), and no `moor` command calls it"


def levels(command: str, calls: Iterable[Call]) -> list[Level]:
    """The policies without which it does not do its work."""
    found = {
        right.level
        for call, rights in needed(calls).items()
        if call.right not in OPTIONAL.get(command, ())
        for right in rights
    }
    return [level for level in Level if level in found]


def command_table(commands: Mapping[str, Iterable[Call]]) -> str:
    lines = ["| `moor` | Policies | AWS calls |", "|---|---|---|"]
    for command, calls in commands.items():
        if names := sorted({call.right for call in calls} - FREE):
            said = ", ".join(levels(command, calls))
            optional = OPTIONAL.get(command, ())
            marked = [f"`{name}`" + ("\\*" if name in optional else "") for name in names]
            lines.append(f"| `{command}` | {said} | {', '.join(marked)} |")
    return "\n".join(lines) + "\n"


def rights_table() -> str:
    lines = ["| Policy | May | On | If |", "|---|---|---|---|"]
    for right in RIGHTS:
        actions = ", ".join(f"`{action}`" for action in right.actions)
        on = ", ".join(f"`{resource}`" for resource in right.on)
        terms = "; ".join(
            f"`{key}` {operator} `{value}`"
            for operator, values in right.conditions.items()
            for key, value in values.items()
        )
        lines.append(f"| {right.level} | {actions} | {on} | {terms} |")
    return "\n".join(lines) + "\n"


def deployer_table(source: Source) -> str:
    lines = ["| `moor` | AWS calls |", "|---|---|"]
    for command in COMMANDS:
        if command in OF_DEPLOYERS:
            names = sorted({call.right for call in source.command(command)} - FREE)
            lines.append(f"| `{command}` | {', '.join(f'`{name}`' for name in names)} |")
    return "\n".join(lines) + "\n"


def tables(source: Source | None = None) -> str:
    """All of them, of `source` or of the code as it is."""
    source = source or Source()
    return (
        f"{command_table(source.commands())}\n"
        "These are for who deploys, as they look where there is no stage yet, or no more:\n\n"
        f"{deployer_table(source)}\n## What each policy holds\n\n{rights_table()}"
    )
