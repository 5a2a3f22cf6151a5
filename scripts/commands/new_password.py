"""`moor new-password`: change the password of API and worker's database user."""

import json
import secrets
import string

from scripts.aws import Aws, connect
from scripts.clock import Clock
from scripts.ecs.one_off import (
    container_command,
    exit_code,
    heed_signals,
    run_task_arguments,
    start,
    stopped_if_interrupted,
    watch,
)
from scripts.ecs.services import Service, find_service
from scripts.errors import OperatorError, RefusedError
from scripts.logs.log_lines import render
from scripts.logs.log_reading import Event
from scripts.secrets.kept import check_start
from scripts.session.database_access import Database, find_database
from scripts.terminal.answer import say
from scripts.terminal.options import DEFAULT_STAGE, StageOption, YesOption, confirm
from service.contract import DatabaseSecretField, ProcessName

STARTED_BY = "moor-new-password"
CHARACTERS, LENGTH = string.ascii_letters + string.digits, 40
CURRENT, PENDING = "AWSCURRENT", "AWSPENDING"


def new_password(*, stage: StageOption = DEFAULT_STAGE, yes: YesOption = False) -> None:
    """Change the password of API and worker's database user; no request and no job fails.

    The migrations set it in Postgres, in an ECS task of their own; from then on the old one is
    refused. After an interruption, run the command again. RDS itself changes the owner's password.
    """
    heed_signals()
    run(connect(stage), Clock(), yes=yes)


def run(aws: Aws, clock: Clock, *, yes: bool = False) -> None:
    """Store the new password as a pending version of the secret, set it in Postgres, and make the
    version current. API and worker try the pending one where Postgres refuses the current one."""
    database = find_database(aws)
    if database.user == find_database(aws, as_owner=True).user:
        raise RefusedError(
            f"API and worker of {aws.target} connect as the database's owner, whose password RDS "
            "changes by itself",
            f"`{aws.target.deploy_command}` gives them a user of their own.",
        )
    worker = find_service(aws, ProcessName.WORKER)
    check_start(aws, {ProcessName.WORKER: worker.task_definition})
    confirm(aws.target, "change the password of its database user", yes)
    version = pending_version(aws, database)
    code = run_migrate(aws, worker, clock)
    if code:
        raise OperatorError(
            f"the migrations ended with {code}; the secret keeps both passwords, and API and "
            "worker use the one that Postgres accepts",
            f"`{aws.target.command('new-password')}` again does the rest.",
        )
    make_current(aws, database, version)
    say(f"{aws.target}: Postgres and the secret have the new password; the old one is refused")


def pending_version(aws: Aws, database: Database) -> str:
    """The pending version that an interrupted run has left, whose password Postgres may already
    have, or a new one."""
    for version, labels in versions(aws, database).items():
        if PENDING in labels and CURRENT not in labels:
            say("an interrupted rotation goes on")
            return version
    answer = aws.call(
        "secretsmanager", "get_secret_value",
        SecretId=database.secret_arn, VersionStage=CURRENT,
    )  # fmt: skip
    current = json.loads(answer["SecretString"])
    password = "".join(secrets.choice(CHARACTERS) for _ in range(LENGTH))
    made = aws.call(
        "secretsmanager", "put_secret_value",
        SecretId=database.secret_arn, VersionStages=[PENDING],
        SecretString=json.dumps(current | {DatabaseSecretField.PASSWORD: password}),
    )  # fmt: skip
    return str(made["VersionId"])


def make_current(aws: Aws, database: Database, version: str) -> None:
    """Make the pending version the current one; no version is pending afterwards."""
    (current,) = (id for id, labels in versions(aws, database).items() if CURRENT in labels)
    aws.call(
        "secretsmanager", "update_secret_version_stage",
        SecretId=database.secret_arn, VersionStage=CURRENT,
        MoveToVersionId=version, RemoveFromVersionId=current,
    )  # fmt: skip
    aws.call(
        "secretsmanager", "update_secret_version_stage",
        SecretId=database.secret_arn, VersionStage=PENDING, RemoveFromVersionId=version,
    )  # fmt: skip


def versions(aws: Aws, database: Database) -> dict[str, list[str]]:
    """The labels (AWSCURRENT, AWSPENDING, …) of each version of the secret."""
    answer = aws.call("secretsmanager", "describe_secret", SecretId=database.secret_arn)
    found: dict[str, list[str]] = answer["VersionIdsToStages"]
    return found


def run_migrate(aws: Aws, service: Service, clock: Clock) -> int:
    """Run the migrations as a worker's ECS task and return their exit code. They run there as the
    owner and then as the worker's user, which proves that the new password works."""
    override = {
        "name": ProcessName.WORKER,
        "command": container_command([ProcessName.MIGRATE]),
    }
    arn = start(
        aws,
        run_task_arguments(
            service,
            task_definition=service.task_definition,
            started_by=STARTED_BY,
            overrides={"containerOverrides": [override]},
            has_exec=False,
        ),
    )

    def show(event: Event) -> None:
        say(render(event, is_coloured=False))

    with stopped_if_interrupted(aws, arn, "moor new-password was interrupted"):
        say(f"ECS task {arn.rpartition('/')[2]} sets the new password in Postgres")
        return exit_code(watch(aws, arn, ProcessName.WORKER, show, clock), ProcessName.WORKER)
