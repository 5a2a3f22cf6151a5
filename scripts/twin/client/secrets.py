"""Puts the local values of the project's own secrets where the twin's ECS tasks look for them."""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

from scripts.errors import NotFoundError
from stacks.config.secrets import SECRETS_MANAGER, SSM, Place
from stacks.config.stage import Stage

Call = Callable[..., Any]
# The twin has no account but its own, so a secret's ARN stands for its name here.
ARN = re.compile(r"arn:.*:secret:(.+)-[A-Za-z0-9]{6}")


def fill(call: Call, stage: Stage, values: Mapping[str, str]) -> None:
    """Make each secret and parameter that the stage names, of those that `values` has."""
    fields: dict[str, dict[str, str]] = defaultdict(dict)
    for secret in stage.secrets:
        if (value := values.get(secret.name)) is None:
            continue
        place = secret.place(stage.names)
        if place.service == SSM:
            call(
                "ssm", "put_parameter",
                Name=place.id, Value=value, Type="SecureString", Overwrite=True,
            )  # fmt: skip
        elif place.field:
            fields[name_here(place)][place.field] = value
        else:
            _put(call, name_here(place), value)
    for name, document in fields.items():
        _put(call, name, json.dumps(document))


def forget(call: Call, place: Place) -> None:
    """Delete what `fill` has made there."""
    with suppress(NotFoundError):
        if place.service == SSM:
            call("ssm", "delete_parameter", Name=place.id)
        else:
            call(
                SECRETS_MANAGER, "delete_secret",
                SecretId=name_here(place), ForceDeleteWithoutRecovery=True,
            )  # fmt: skip


def name_here(place: Place) -> str:
    """The name of the secret in the twin."""
    found = ARN.fullmatch(place.id)
    return found[1] if found else place.id


def _put(call: Call, name: str, value: str) -> None:
    try:
        call(SECRETS_MANAGER, "describe_secret", SecretId=name)
    except NotFoundError:
        call(SECRETS_MANAGER, "create_secret", Name=name, SecretString=value)
    else:
        call(SECRETS_MANAGER, "put_secret_value", SecretId=name, SecretString=value)
