"""How an operator reaches the stage's database: its address, its password and a tunnel to it."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qs, urlsplit

import typer

from scripts.aws import Answer, Aws
from scripts.aws_errors import explain_refusal, is_refusal
from scripts.clock import Clock
from scripts.doctor.permissions import secret_name
from scripts.ecs.tasks import RUNNING, Task, describe_tasks
from scripts.errors import OperatorError, OverdueError
from scripts.session.plugin import (
    PluginError,
    SessionTarget,
    find_plugin,
    not_connected,
    plugin_arguments,
)
from scripts.session.session_task import await_agent, choose, newest_first, without_exec
from scripts.target import Target
from service.contract import DatabaseSecretField, EnvVar, ProcessName
from stacks.config.naming import Output

DOCUMENT = "AWS-StartPortForwardingSessionToRemoteHost"
OPEN_SECONDS = 30
POLL_SECONDS = 0.2
READY = b"Waiting for connections"  # the plugin prints this when the port is open
LOOPBACK = "127.0.0.1"

OwnerOption = Annotated[
    bool,
    typer.Option(
        "--owner", help="Connect as the owner, who may change tables, not as API and worker do."
    ),
]


@dataclass(frozen=True)
class Database:
    """The connection that the containers use, without the password."""

    host: str
    port: int
    user: str
    name: str
    sslmode: str
    secret_arn: str


def read_database(definition: Answer, *, as_owner: bool = False) -> Database:
    """From a described `taskDefinition`. Without a separate owner, `as_owner` changes nothing.

    Raises `OperatorError` where the task definition names no database.
    """
    containers = {each["name"]: each for each in definition["containerDefinitions"]}
    process = ProcessName.API if ProcessName.API in containers else ProcessName.WORKER
    given = {each["name"]: each["value"] for each in containers[process]["environment"]}
    if missing := {EnvVar.DATABASE_URL, EnvVar.DATABASE_SECRET_ARN} - given.keys():
        raise OperatorError(
            f"the task definition of {process} does not set {' and '.join(sorted(missing))}",
            "A deploy by the CDK sets both; `moor doctor` checks the whole task definition.",
        )
    url, secret_arn = given[EnvVar.DATABASE_URL], given[EnvVar.DATABASE_SECRET_ARN]
    migrate = containers.get(ProcessName.MIGRATE, {})
    for secret in migrate.get("secrets", []) if as_owner else []:
        if secret["name"] == EnvVar.DATABASE_OWNER_PASSWORD:
            values = {each["name"]: each["value"] for each in migrate["environment"]}
            url = values[EnvVar.DATABASE_OWNER_URL]
            secret_arn = secret_name(secret["valueFrom"])
    parts = urlsplit(url)
    return Database(
        host=parts.hostname or "",
        port=parts.port or 5432,
        user=parts.username or "",
        name=parts.path.removeprefix("/"),
        sslmode=parse_qs(parts.query).get("sslmode", ["prefer"])[0],
        secret_arn=secret_arn,
    )


def find_database(aws: Aws, *, as_owner: bool = False) -> Database:
    """The database of the deployed stage."""
    arn = aws.output(Output.WORKER_TASK_DEFINITION)
    answer = aws.call("ecs", "describe_task_definition", taskDefinition=arn)
    return read_database(answer["taskDefinition"], as_owner=as_owner)


def read_password(aws: Aws, database: Database) -> str:
    """The current password from Secrets Manager. RDS changes the owner's every week."""
    answer = aws.call(
        "secretsmanager", "get_secret_value",
        SecretId=database.secret_arn, VersionStage="AWSCURRENT",
    )  # fmt: skip
    password: str = json.loads(answer["SecretString"])[DatabaseSecretField.PASSWORD]
    return password


def with_exec(tasks: Sequence[Task], target: Target) -> list[Task]:
    """The running ECS tasks that can hold a tunnel. Raises `RefusedError` where none can."""
    running = [each for each in tasks if each.status == RUNNING]
    found = [each for each in running if each.has_exec]
    if running and not found:
        raise without_exec(target)
    return found


def find_tunnel_target(aws: Aws, wanted: str, clock: Clock) -> SessionTarget:
    """The API or worker container of the newest ECS task that can hold a tunnel, or of the
    `wanted` one."""
    arns = list(aws.pages("ecs", "list_tasks", "taskArns", cluster=aws.names.cluster))
    found = with_exec(newest_first(describe_tasks(aws, arns)), aws.target)
    task = choose(found[:1] if not wanted else found, wanted, aws.target)
    names = [each.name for each in task.containers]
    process = ProcessName.API if ProcessName.API in names else ProcessName.WORKER
    return await_agent(aws, task, process, clock)


@contextmanager
def tunnel(
    aws: Aws, database: Database, way: SessionTarget, port: int, clock: Clock
) -> Iterator[Any]:
    """Opens the database on `port` of this machine for the block; yields the plugin's process.

    Unlike sessions of ECS exec, such a session is not written to the stage's log of sessions.
    """
    # Not in our process group: a Ctrl-C that cancels a query must not end the tunnel.
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen(
            _open(aws, database, way, port),
            stdin=subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True,
        ) as plugin,
    ):  # fmt: skip
        try:
            for _ in range(round(OPEN_SECONDS / POLL_SECONDS)):
                said.seek(0)
                words = said.read()
                if READY in words:
                    break
                if plugin.poll() is not None:
                    text = words.decode(errors="replace").strip()
                    if is_refusal(text):
                        raise explain_refusal("ssm:StartSession", text, aws.target)
                    raise PluginError(f"the tunnel did not open: {text or 'it says nothing'}")
                clock.sleep(POLL_SECONDS)
            else:
                raise OverdueError(f"the tunnel is not open after {OPEN_SECONDS} s")
            yield plugin
        finally:
            plugin.terminate()


def _open(aws: Aws, database: Database, way: SessionTarget, port: int) -> list[str]:
    request = {
        "Target": way.target,
        "DocumentName": DOCUMENT,
        "Parameters": {
            "host": [database.host],
            "portNumber": [str(database.port)],
            "localPortNumber": [str(port)],
        },
    }
    plugin = find_plugin(is_local=False)
    try:
        session = aws.call("ssm", "start_session", **request)
    except OperatorError as error:
        if "TargetNotConnected" in str(error) or "is not connected" in str(error):
            raise not_connected(way) from None
        raise
    return plugin + plugin_arguments(
        session, region=aws.region, profile=aws.profile,
        request=request, endpoint=aws.endpoint("ssm"),
    )  # fmt: skip
