"""The environment of a container: its definition, its secrets, and what this machine needs."""

import json
import re
from typing import Any

from moto.core.exceptions import JsonRESTError, ServiceException

from scripts.twin.backends import Backends
from scripts.twin.client.state import MINUTE_SECONDS, Twin, folder
from scripts.twin.ecs.container import CannotStartError, Container
from scripts.twin.ecs.task_roles import TaskRoles
from service.contract import EnvVar

SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
NO_SECRETS, NO_PARAMETER = (
    "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
    f"retrieval failed: unable to retrieve secret{plural} from {where}: "
    for plural, where in (("", "asm"), ("s", "ssm"))
)
NO_ARN = "invalid ARN of a secret or parameter"
SUFFIX = re.compile(r"-[A-Za-z0-9]{6}$")


def environment_of(
    container: Container,
    *,
    task_id: str,
    port: int | None,
    twin: Twin,
    backends: Backends,
    roles: TaskRoles,
) -> dict[str, str]:
    """The variables of a container, with its secrets, so never log them. Raises `CannotStartError`
    for a secret that does not exist, or that the execution role may not read."""
    given = [*container.definition.get("environment", []), *container.added_environment]
    own = folder_of(task_id, twin)
    return {
        # Variables that the image sets.
        "PATH": f"{twin.python.parent}:{SYSTEM_PATH}",
        "PYTHONUNBUFFERED": "1",
        "HOME": str(own),
        "LANG": "C.UTF-8",
        **{pair["name"]: pair["value"] for pair in given},
        **{
            pair["name"]: value_of(backends, pair["valueFrom"], roles)
            for pair in container.definition.get("secrets", [])
        },
        **{name: value for name, value in twin.environment.items() if _is_for_all(name)},
        **_credentials(container, twin, roles),
        "ECS_CONTAINER_METADATA_URI_V4": f"{twin.agent_url}/v4/{container.runtime_id}",
        EnvVar.ECS_AGENT_URI: f"{twin.agent_url}/api/{container.runtime_id}",
        "METRIC_SECONDS": str(MINUTE_SECONDS),
        # On AWS each ECS task has a disk and an address of its own.
        "TMPDIR": str(own),
        EnvVar.WORKER_HEARTBEAT_FILE: str(own / "heartbeat"),
        **(_address(port) if port and container.definition.get("portMappings") else {}),
    }


def _is_for_all(name: str) -> bool:
    """Not the twin's own key, which may do everything, and which boto3 would prefer."""
    return name.startswith("AWS_") and name not in {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"}


def _credentials(container: Container, twin: Twin, roles: TaskRoles) -> dict[str, str]:
    """Where boto3 finds those of the task role. On ECS it is a path of 169.254.170.2, an address
    that this machine has not."""
    if roles.task is None:
        return {}
    url = f"{twin.agent_url}/v2/credentials/{container.credentials_id}"
    return {"AWS_CONTAINER_CREDENTIALS_FULL_URI": url}


def folder_of(task_id: str, twin: Twin) -> Any:
    """The folder that is the disk of an ECS task while it runs."""
    return folder(twin.home) / "tasks" / task_id


def value_of(backends: Backends, value_from: str, roles: TaskRoles) -> str:
    """The value of a secret's ARN, with `:KEY:STAGE:VERSION` behind it or not, or of a parameter's
    ARN or name."""
    service = value_from.split(":")[2:3]
    if service == ["secretsmanager"]:
        return secret(backends, value_from, roles)
    if service in (["ssm"], []):
        return parameter(backends, value_from, roles)
    raise CannotStartError(f"{NO_SECRETS}{NO_ARN}: {value_from}")


def secret(backends: Backends, value_from: str, roles: TaskRoles) -> str:
    """The value of `arn:aws:secretsmanager:REGION:ACCOUNT:secret:NAME[:KEY:STAGE:VERSION]`.

    The last six characters of the name may be missing, as on AWS. A secret of another account or
    region is the one of that name here, as there is no other account.
    """
    parts = value_from.split(":")
    arn, (key, stage, version) = ":".join(parts[:7]), (*parts[7:], "", "", "")[:3]
    is_here = parts[3:5] == [backends.region, backends.account]
    id = arn if is_here else SUFFIX.sub("", parts[6])
    secrets: Any = backends.secretsmanager.secrets
    if (known := secrets.get(id)) is not None:
        asked = known.arn if is_here else arn
        if refused := roles.secret_refusal(asked, known.kms_key_id):
            raise CannotStartError(
                f"{NO_SECRETS}failed to fetch secret {arn} from secrets manager: "
                f"AccessDeniedException: {refused}"
            )
    try:
        found = backends.secretsmanager.get_secret_value(id, version or None, stage or None)  # type: ignore[arg-type]
        text: str = found["SecretString"]
    except (JsonRESTError, ServiceException, KeyError) as error:
        raise CannotStartError(
            f"{NO_SECRETS}failed to fetch secret {arn} from secrets manager: "
            "ResourceNotFoundException: Secrets Manager can't find the specified secret."
        ) from error
    if not key:
        return text
    try:
        return str(json.loads(text)[key])
    except (ValueError, KeyError, TypeError):
        # Not `from error`, whose message contains the secret.
        raise CannotStartError(
            f"{NO_SECRETS}retrieved secret from Secrets Manager did not contain json key {key}"
        ) from None


def parameter(backends: Backends, value_from: str, roles: TaskRoles) -> str:
    """The value of `arn:aws:ssm:REGION:ACCOUNT:parameter/NAME`, or of NAME."""
    name = value_from.rpartition(":")[2]
    if name != value_from:  # an ARN does not tell /NAME from NAME
        name = name.removeprefix("parameter")
    arn = f"arn:aws:ssm:{backends.region}:{backends.account}:parameter/{name.removeprefix('/')}"
    if refused := roles.refusal("ssm:GetParameters", arn):
        raise CannotStartError(f"{NO_PARAMETER}AccessDeniedException: {refused}")
    found = backends.ssm.get_parameter(name) or backends.ssm.get_parameter(name.removeprefix("/"))
    value = found.decrypt(found.value) if found else None
    if value is None:
        raise CannotStartError(f"{NO_PARAMETER}invalid ssm parameters: {name}")
    return value


def _address(port: int) -> dict[str, str]:
    return {EnvVar.API_HOST: "127.0.0.1", EnvVar.API_PORT: str(port)}
