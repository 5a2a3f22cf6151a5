"""What a running process and the infrastructure around it must agree on.

Imported by the service, the stacks and the operator commands, and shipped in the image. Standard
library only: one heavier import here would reach every operator command and every synth.
"""

from enum import StrEnum


class ProcessName(StrEnum):
    """The roles of the one image: the argument of `python -m service`."""

    API = "api"
    WORKER = "worker"
    MIGRATE = "migrate"
    HEALTHCHECK = "healthcheck"


class EnvVar(StrEnum):
    """Every environment variable the service reads, and nothing else reads."""

    STAGE = "STAGE"
    LOG_LEVEL = "LOG_LEVEL"
    LOG_FORMAT = "LOG_FORMAT"
    DATABASE_URL = "DATABASE_URL"
    DATABASE_POOL_SIZE = "DATABASE_POOL_SIZE"
    QUEUE_DSN = "QUEUE_DSN"
    QUEUE_POOL_SIZE = "QUEUE_POOL_SIZE"
    API_HOST = "API_HOST"
    API_PORT = "API_PORT"
    API_AUTH = "API_AUTH"
    API_KEY = "API_KEY"
    UI_USERNAME = "UI_USERNAME"
    UI_PASSWORD = "UI_PASSWORD"  # noqa: S105 - the variable's name, not a password
    WORKER_MODE = "WORKER_MODE"
    WORKER_CONCURRENCY = "WORKER_CONCURRENCY"
    WORKER_POLL_SECONDS = "WORKER_POLL_SECONDS"
    WORKER_HEARTBEAT_FILE = "WORKER_HEARTBEAT_FILE"
    DRAIN_SECONDS = "DRAIN_SECONDS"
    EMAIL_FROM = "EMAIL_FROM"
    AWS_REGION = "AWS_REGION"


LOCAL_STAGE = "local"  # the only stage where the API and the job pages may be open

API_PORT = 8000
LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
UI_PATH = "/saq"
QUEUE_NAME = "default"

RDS_CA_FILE = "/etc/ssl/rds-global-bundle.pem"  # in the image: RDS's roots are in no system's store
USER = "10001:10001"  # uid and gid of every container
WRITABLE_PATH = "/tmp"  # noqa: S108 - an empty volume in the ECS task; everything else is read-only

STOP_TIMEOUT_SECONDS = 120  # the most Fargate allows between SIGTERM and SIGKILL
DRAIN_SECONDS = (
    100  # for running jobs after SIGTERM; the rest covers cancelling, recording, closing
)
KEEP_ALIVE_SECONDS = 75  # above the load balancer's 60 s idle timeout, or it sees random 502s

HEARTBEAT_FILE = "/tmp/moorage-worker-heartbeat"  # noqa: S108 - an empty volume in the ECS task
HEARTBEAT_MAX_AGE_SECONDS = 30  # an older heartbeat fails the container's health check

PAYLOAD_MAX_BYTES = 64 * 1024  # a job's payload as JSON; larger things go to S3 by reference
BODY_MAX_BYTES = 128 * 1024  # a request's body: a full payload and its options
