"""Which secrets of a stage AWS keeps, and whether they have a value. Nothing here reads a value."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from scripts.aws import Answer, Aws
from scripts.errors import DeniedError, NotFoundError, OperatorError
from scripts.twin.client.secrets import name_here
from service.contract import EnvVar
from stacks.config.secrets import SECRETS_MANAGER, SSM, Place

CURRENT = "AWSCURRENT"


class State(StrEnum):
    """How a secret is where it is kept."""

    SET = "set"
    EMPTY = "no value"  # it was made, and nothing was put into it
    MISSING = "missing"
    DELETED = "deleted"  # `moor secrets set` takes it back, until AWS removes it for good
    UNKNOWN = "not readable"  # for these credentials, as one of another account may be


WITHOUT_VALUE = (State.EMPTY, State.MISSING, State.DELETED)


@dataclass(frozen=True)
class Kept:
    """One secret as AWS describes it. `changed` is when its value was last written."""

    state: State
    changed: datetime | None = None


def look(aws: Aws, place: Place) -> Kept:
    """Ask AWS for the secret or parameter at `place`."""
    try:
        if place.service == SSM:
            return _parameter(aws, place.id)
        return _secret(aws, name_here(place) if aws.target.is_local else place.id)
    except NotFoundError:
        return Kept(State.MISSING)
    except DeniedError:
        return Kept(State.UNKNOWN)


def own_names(aws: Aws) -> dict[str, Kept]:
    """The secrets that Moor keeps for the stage, by variable. AWS lists a new one up to five
    minutes late, so ask `look` about a name that is known."""
    start = aws.names.secret("")
    found = aws.pages(
        "secretsmanager", "list_secrets", "SecretList", IncludePlannedDeletion=True,
        Filters=[{"Key": "name", "Values": [start]}],
    )  # fmt: skip
    return {
        each["Name"].removeprefix(start): _kept(each, each.get("SecretVersionsToStages", {}))
        for each in found
    }


def check_start(aws: Aws, task_definitions: Mapping[str, str]) -> None:
    """Raises `OperatorError` where ECS tasks of one of these could not start, because one of the
    project's secrets has no value. They are the ARNs of the processes' task definitions."""
    missing: dict[str, list[str]] = {}  # the processes that need it, by variable
    for process, arn in task_definitions.items():
        found = aws.call("ecs", "describe_task_definition", taskDefinition=arn)
        for name in without_value(aws, _named(found["taskDefinition"])):
            missing.setdefault(name, []).append(process)
    if missing:
        first = f"secrets set {next(iter(missing))}"
        without = dict.fromkeys(process for needed in missing.values() for process in needed)
        raise OperatorError(
            f"{aws.target} has no value for {', '.join(missing)}: "
            f"no {' and no '.join(without)} would start",
            f"`{aws.target.command(first)}` asks for one; "
            f"`{aws.target.command('secrets list')}` shows where each is kept.",
        )


def without_value(aws: Aws, named: Iterable[tuple[str, Place]]) -> list[str]:
    """The variables for which AWS has no value."""
    return [name for name, place in named if look(aws, place).state in WITHOUT_VALUE]


def _named(definition: Answer) -> Iterator[tuple[str, Place]]:
    """The project's own secrets in a task definition: those that Moorage has no name for."""
    for container in definition["containerDefinitions"]:
        for each in container.get("secrets", ()):
            if each["name"] not in set(EnvVar):
                yield each["name"], _place(each["valueFrom"])


def _place(value_from: str) -> Place:
    parts = value_from.split(":")
    is_parameter = parts[2:3] == [SSM]
    return Place(SSM if is_parameter else SECRETS_MANAGER, ":".join(parts[:7]))


def _secret(aws: Aws, id: str) -> Kept:
    found = aws.call("secretsmanager", "describe_secret", SecretId=id)
    return _kept(found, found.get("VersionIdsToStages", {}))


def _kept(found: Mapping[str, Any], versions: Mapping[str, list[str]]) -> Kept:
    changed = found.get("LastChangedDate")
    if found.get("DeletedDate"):
        return Kept(State.DELETED, changed)
    has_value = any(CURRENT in labels for labels in versions.values())
    return Kept(State.SET if has_value else State.EMPTY, changed)


def _parameter(aws: Aws, name: str) -> Kept:
    path = name.rpartition(":parameter")[2]
    names = [path, path.removeprefix("/")] if path != name else [name]  # an ARN has a slash always
    found = aws.pages(
        "ssm", "describe_parameters", "Parameters",
        ParameterFilters=[{"Key": "Name", "Option": "Equals", "Values": names}],
    )  # fmt: skip
    for each in found:
        return Kept(State.SET, each.get("LastModifiedDate"))
    return Kept(State.MISSING)
