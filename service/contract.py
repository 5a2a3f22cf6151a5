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


# `python -m service run PROGRAM …`: any program in a container, in the place of a process. ECS can
# change a container's command for one ECS task, never the entry point before it.
RUN = "run"


class EnvVar(StrEnum):
    """Every environment variable that the service reads, into a field of `service/settings.py`.

    `stacks/service/container_env.py` sets those that a stage decides.
    """

    APP_NAME = "APP_NAME"
    STAGE = "STAGE"
    LOG_LEVEL = "LOG_LEVEL"
    LOG_FORMAT = "LOG_FORMAT"
    DATABASE_URL = "DATABASE_URL"
    DATABASE_SECRET_ARN = "DATABASE_SECRET_ARN"  # noqa: S105 - where the password is, not it
    DATABASE_OWNER_URL = "DATABASE_OWNER_URL"  # this and the next for `migrate` alone
    DATABASE_OWNER_PASSWORD = "DATABASE_OWNER_PASSWORD"  # noqa: S105 - the variable's name
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
    METRIC_SECONDS = "METRIC_SECONDS"
    BUCKET = "BUCKET"
    INTERNET_PORTS = "INTERNET_PORTS"
    EMAIL_FROM = "EMAIL_FROM"
    AWS_REGION = "AWS_REGION"
    ECS_AGENT_URI = "ECS_AGENT_URI"  # this and the next are set by ECS itself
    ECS_CONTAINER_METADATA_URI_V4 = "ECS_CONTAINER_METADATA_URI_V4"


class DatabaseSecretField(StrEnum):
    """Keys of the JSON with a database user's credentials; the names are RDS's."""

    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105 - the field's name, not a password


class UiSecretField(StrEnum):
    """Keys of the JSON with the credentials of the job pages."""

    USERNAME = "username"
    PASSWORD = "password"  # noqa: S105 - the field's name, not a password


class Metric(StrEnum):
    """What the processes of a stage write to their logs once a minute.

    Of the queue one process writes, API or worker: it goes on while no worker runs, or nothing
    would wake one. What a worker has done it writes itself. A metric without a unit in its name is
    a count.
    """

    BACKLOG = "Backlog"  # jobs that are due and wait
    OLDEST_JOB_AGE_SECONDS = "OldestJobAgeSeconds"  # how long the oldest of them has been due; or 0
    WORKERS_ALIVE = "WorkersAlive"  # with a lease that has not run out; 0 is written too
    # Waiting and running jobs for each live worker, or for one where there is none. It holds the
    # running ones so that a worker with work is never in excess.
    JOBS_PER_WORKER = "JobsPerWorker"
    JOBS_STARTED = "JobsStarted"  # this and the following: of one worker, since the last time
    JOBS_FINISHED = "JobsFinished"
    JOBS_FAILED = "JobsFailed"  # for good: no attempt is left
    JOBS_RETRIED = "JobsRetried"
    DEAD_LETTERS = "DeadLetters"  # jobs that killed their workers or cannot be read
    LISTEN_AGE_SECONDS = "ListenAgeSeconds"  # how long a worker's LISTEN has proved nothing


class MetricDimension(StrEnum):
    """Every metric has these three, in this order, and no other."""

    APP = "App"
    STAGE = "Stage"
    QUEUE = "Queue"


METRIC_NAMESPACE = "Moorage"
METRIC_SECONDS = 60  # between two writings, unless the environment says otherwise

DEFAULT_APP_NAME = "moorage"
# RDS takes no name with two hyphens side by side or one at its end.
APP_NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
APP_NAME_MAX_CHARACTERS = 20  # the names made of it stay within AWS's limits
LOCAL_STAGE = "local"  # the only stage where the API and the job pages may be open

API_KEYS_MAX = 2  # in API_KEY, with a space between: the old and the new one while it is changed
API_PORT = 8000
# What leaves an ECS task of a worker for the internet: what a job fetches from elsewhere has one of
# these ports, or waits for an answer in vain. The API's leave by 443 alone.
HTTP_PORT, HTTPS_PORT = 80, 443
WORKER_INTERNET_PORTS = (HTTP_PORT, HTTPS_PORT)
LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
UI_PATH = "/saq"
QUEUE_NAME = "default"

WRONG_CREDENTIALS_EVENT = "wrong credentials"  # in the API's log, for each refused request

# Connections of one process beside its pools: one that listens, one that holds the lease.
OWN_CONNECTIONS = 2
MIGRATE_CONNECTIONS = 1

# Where in the bucket each process may do what (stacks/service/task_rights.py).
RESULTS_PREFIX = "results/"  # workers write them, the API gives out links to them
PAYLOADS_PREFIX = "payloads/"  # of jobs: both write them, workers read them
LARGE_PAYLOAD_DAYS = 60  # the bucket keeps one

RDS_CA_FILE = "/etc/ssl/rds-global-bundle.pem"  # in the image: RDS's roots are in no system's store
USER = "10001:10001"  # uid and gid of every container
WRITABLE_PATH = "/tmp"  # noqa: S108 - an empty volume in the ECS task; everything else is read-only

STOP_TIMEOUT_SECONDS = 120  # the most Fargate allows between SIGTERM and SIGKILL
DRAIN_SECONDS = (
    100  # for running jobs after SIGTERM; the rest covers cancelling, recording, closing
)
STOP_MARGIN_SECONDS = 10  # between drain and SIGKILL, for cancelling, recording and closing pools
DRAIN_MAX_SECONDS = STOP_TIMEOUT_SECONDS - STOP_MARGIN_SECONDS
KEEP_ALIVE_SECONDS = 75  # above the load balancer's 60 s idle timeout, or it sees random 502s

HEARTBEAT_FILE = "/tmp/moorage-worker-heartbeat"  # noqa: S108 - an empty volume in the ECS task
HEARTBEAT_MAX_AGE_SECONDS = 30  # an older heartbeat fails the container's health check

PAYLOAD_MAX_BYTES = 64 * 1024  # of a payload as JSON, in the job's row; a larger one goes to S3
LARGE_PAYLOAD_MAX_BYTES = 5 * 1024 * 1024  # worker and API have it in memory
BODY_MAX_BYTES = 128 * 1024  # a request's body: a full payload and its options
JOB_BODY_MAX_BYTES = 6 * 1024 * 1024  # of a request that enqueues any job
