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
    render_pools,
)
from stacks.config.processes import EcsProcess, WorkerPool
from stacks.config.stage import Stage
from stacks.config.variables import of_process
from stacks.data.data_stack import DataStack
from stacks.data.database import OWNER, USER, Database
from stacks.service.collector import ADDRESS
from stacks.service.project_secrets import project_secrets


def environment(
    container: ProcessName,
    ecs_process: EcsProcess,
    *,
    stage: Stage,
    database: Database,
    bucket_name: str,
) -> dict[str, str]:
    """The plain variables of one container of a process, also the project's own; no credential."""
    found: dict[str, str] = {
        EnvVar.APP_NAME: stage.app_name,
        EnvVar.STAGE: stage.stage,
        EnvVar.LOG_FORMAT: "json",
        EnvVar.DATABASE_URL: database.url(USER),
        EnvVar.DATABASE_SECRET_ARN: database.user_secret.secret_arn,
    }
    if container is ProcessName.MIGRATE:
        return found | {EnvVar.DATABASE_OWNER_URL: database.url(OWNER)}
    found |= of_process(stage.variables, ecs_process.process, ecs_process.pool) | {
        EnvVar.DATABASE_POOL_SIZE: str(ecs_process.pool_size),
        EnvVar.QUEUE_POOL_SIZE: str(ecs_process.queue_pool_size),
        # All pools, for the API too: the process that writes the metrics does so for each pool.
        EnvVar.WORKER_POOLS: render_pools({each.pool: each.queues for each in stage.worker_pools}),
        EnvVar.DRAIN_SECONDS: str(stage.drain_seconds),
        EnvVar.BUCKET: bucket_name,
        # The ports of the workers: the API refuses a job that no worker could run.
        EnvVar.INTERNET_PORTS: ",".join(
            str(port) for port in WORKER_INTERNET_PORTS if stage.egress != "endpoints"
        ),
    }
    if stage.telemetry_endpoint:
        found[EnvVar.OTEL_EXPORTER_OTLP_ENDPOINT] = stage.telemetry_endpoint
    elif stage.telemetry_collector:
        found[EnvVar.OTEL_EXPORTER_OTLP_ENDPOINT] = ADDRESS
        found[EnvVar.OTEL_METRICS_EXPORTER] = "none"  # CloudWatch has them by the log
    if stage.sqs_queue:
        found[EnvVar.QUEUE_DSN] = f"sqs://{stage.sqs_queue}"
    if isinstance(ecs_process, WorkerPool):
        found |= {
            EnvVar.WORKER_QUEUES: str(ecs_process.queues),
            EnvVar.WORKER_CONCURRENCY: str(ecs_process.concurrency),
            EnvVar.WORKER_HEARTBEAT_FILE: HEARTBEAT_FILE,
        }
        if ecs_process.pool:
            found[EnvVar.WORKER_POOL] = ecs_process.pool
        if stage.email_from:
            found[EnvVar.EMAIL_FROM] = stage.email_from
    else:
        found |= {
            # On every address: security groups allow only the load balancer to connect.
            EnvVar.API_HOST: "0.0.0.0",  # noqa: S104
            EnvVar.API_PORT: str(API_PORT),
        }
        if stage.has_readable_logs:
            found[EnvVar.CONSOLE_LOG_GROUPS] = ",".join(stage.log_groups)
    return found


def secrets(
    scope: Construct, container: ProcessName, ecs_process: EcsProcess, data: DataStack
) -> dict[str, ecs.Secret]:
    """The variables that ECS reads from Secrets Manager or SSM when it starts the container, also
    the project's own."""
    if container is ProcessName.MIGRATE:
        # As a variable, because the task role, which the other containers share, must not read it.
        # A long-lived process would keep an old password, but this one ends after a second.
        password = ecs.Secret.from_secrets_manager(
            data.database.owner_secret, DatabaseSecretField.PASSWORD
        )
        return {EnvVar.DATABASE_OWNER_PASSWORD: password}
    given, own = data.secrets, project_secrets(scope, ecs_process, data.stage)
    if ecs_process.process is not ProcessName.API:
        return own
    return own | {
        EnvVar.API_KEY: ecs.Secret.from_secrets_manager(given.api_key),
        EnvVar.UI_USERNAME: ecs.Secret.from_secrets_manager(given.ui, UiSecretField.USERNAME),
        EnvVar.UI_PASSWORD: ecs.Secret.from_secrets_manager(given.ui, UiSecretField.PASSWORD),
    }
