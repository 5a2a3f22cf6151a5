"""The environment variables of the containers of a deployed stage. Nothing else fills them.

A variable has its name in `service/contract.py` and its field in `service/settings.py`. On your own
machine, `scripts/host/environment.py` fills the environment.
"""

from aws_cdk import aws_ecs as ecs
from constructs import Construct

from service.contract import (
    API_PORT,
    HEARTBEAT_FILE,
    WORKER_INTERNET_PORTS,
    DatabaseSecretField,
    EnvVar,
    ProcessName,
    UiSecretField,
)
from stacks.config.stage import Stage
from stacks.config.variables import of_process
from stacks.data.data_stack import DataStack
from stacks.data.database import OWNER, USER, Database
from stacks.service.project_secrets import project_secrets


def environment(
    process: ProcessName, *, stage: Stage, database: Database, bucket_name: str
) -> dict[str, str]:
    """The plain variables of one container, also the project's own; no credential."""
    found: dict[str, str] = {
        EnvVar.APP_NAME: stage.app_name,
        EnvVar.STAGE: stage.stage,
        EnvVar.LOG_FORMAT: "json",
        EnvVar.DATABASE_URL: database.url(USER),
        EnvVar.DATABASE_SECRET_ARN: database.user_secret.secret_arn,
    }
    if process is ProcessName.MIGRATE:
        return found | {EnvVar.DATABASE_OWNER_URL: database.url(OWNER)}
    sizes = {
        ProcessName.API: (stage.api_pool_size, stage.api_queue_pool_size),
        ProcessName.WORKER: (stage.worker_pool_size, stage.worker_queue_pool_size),
    }
    pool, queue_pool = sizes[process]
    found |= of_process(stage.variables, process) | {
        EnvVar.DATABASE_POOL_SIZE: str(pool),
        EnvVar.QUEUE_POOL_SIZE: str(queue_pool),
        EnvVar.DRAIN_SECONDS: str(stage.drain_seconds),
        EnvVar.BUCKET: bucket_name,
        # The ports of the workers: the API refuses a job that no worker could run.
        EnvVar.INTERNET_PORTS: ",".join(
            str(port) for port in WORKER_INTERNET_PORTS if stage.egress != "endpoints"
        ),
    }
    if stage.sqs_queue:
        found[EnvVar.QUEUE_DSN] = f"sqs://{stage.sqs_queue}"
    if process is ProcessName.API:
        found |= {
            # On every address: security groups allow only the load balancer to connect.
            EnvVar.API_HOST: "0.0.0.0",  # noqa: S104
            EnvVar.API_PORT: str(API_PORT),
        }
    else:
        found |= {
            EnvVar.WORKER_CONCURRENCY: str(stage.worker_concurrency),
            EnvVar.WORKER_HEARTBEAT_FILE: HEARTBEAT_FILE,
        }
        if stage.email_from:
            found[EnvVar.EMAIL_FROM] = stage.email_from
    return found


def secrets(scope: Construct, process: ProcessName, data: DataStack) -> dict[str, ecs.Secret]:
    """The variables that ECS reads from Secrets Manager or SSM when it starts the container, also
    the project's own."""
    if process is ProcessName.MIGRATE:
        # As a variable, because the task role, which the other containers share, must not read it.
        # A long-lived process would keep an old password, but this one ends after a second.
        password = ecs.Secret.from_secrets_manager(
            data.database.owner_secret, DatabaseSecretField.PASSWORD
        )
        return {EnvVar.DATABASE_OWNER_PASSWORD: password}
    given, own = data.secrets, project_secrets(scope, process, data.stage)
    if process is not ProcessName.API:
        return own
    return own | {
        EnvVar.API_KEY: ecs.Secret.from_secrets_manager(given.api_key),
        EnvVar.UI_USERNAME: ecs.Secret.from_secrets_manager(given.ui, UiSecretField.USERNAME),
        EnvVar.UI_PASSWORD: ecs.Secret.from_secrets_manager(given.ui, UiSecretField.PASSWORD),
    }
