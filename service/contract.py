"""The names and limits that a running process and the infrastructure around it must agree on.

Imported by the service, the stacks and the operator commands, and shipped in the image. Standard
library only: one heavier import here would reach every operator command and every synth.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Self


class ProcessName(StrEnum):
    """The roles of the one image: the argument of `python -m service`."""

    API = "api"
    WORKER = "worker"
    MIGRATE = "migrate"
    HEALTHCHECK = "healthcheck"


# `python -m service run PROGRAM …` runs any program instead of a process. ECS can change a
# container's command for one ECS task, but not its entry point.
RUN = "run"
# `python -m service queues` prints, as JSON, the names of the tasks and schedules of each queue. It
# needs no settings and no database.
QUEUES = "queues"


class EnvVar(StrEnum):
    """Every environment variable that the service reads, into a field of `service/settings.py`.

    `stacks/service/container_env.py` sets those that a stage decides.
    """

    APP_NAME = "APP_NAME"
    STAGE = "STAGE"
    LOG_LEVEL = "LOG_LEVEL"
    LOG_FORMAT = "LOG_FORMAT"
    REDACT_NAMES = "REDACT_NAMES"
    DATABASE_URL = "DATABASE_URL"
    DATABASE_SECRET_ARN = "DATABASE_SECRET_ARN"  # noqa: S105 - where the password is, not it
    DATABASE_OWNER_URL = "DATABASE_OWNER_URL"  # this and the next are only for `migrate`
    DATABASE_OWNER_PASSWORD = "DATABASE_OWNER_PASSWORD"  # noqa: S105 - the variable's name
    DATABASE_POOL_SIZE = "DATABASE_POOL_SIZE"
    QUEUE_DSN = "QUEUE_DSN"
    QUEUE_POOL_SIZE = "QUEUE_POOL_SIZE"
    API_HOST = "API_HOST"
    API_PORT = "API_PORT"
    API_FD = "API_FD"
    API_AUTH = "API_AUTH"
    API_KEY = "API_KEY"
    UI_USERNAME = "UI_USERNAME"
    UI_PASSWORD = "UI_PASSWORD"  # noqa: S105 - the variable's name, not a password
    WORKER_MODE = "WORKER_MODE"
    WORKER_POOL = "WORKER_POOL"
    WORKER_POOLS = "WORKER_POOLS"
    WORKER_QUEUES = "WORKER_QUEUES"
    WORKER_CONCURRENCY = "WORKER_CONCURRENCY"
    WORKER_POLL_SECONDS = "WORKER_POLL_SECONDS"
    WORKER_HEARTBEAT_FILE = "WORKER_HEARTBEAT_FILE"
    DRAIN_SECONDS = "DRAIN_SECONDS"
    METRIC_SECONDS = "METRIC_SECONDS"
    BUCKET = "BUCKET"
    INTERNET_PORTS = "INTERNET_PORTS"
    CONSOLE_LOG_GROUPS = "CONSOLE_LOG_GROUPS"  # that the API may read, with commas between them
    EMAIL_FROM = "EMAIL_FROM"
    OTEL_EXPORTER_OTLP_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
    OTEL_SDK_DISABLED = "OTEL_SDK_DISABLED"
    OTEL_TRACES_EXPORTER = "OTEL_TRACES_EXPORTER"
    OTEL_METRICS_EXPORTER = "OTEL_METRICS_EXPORTER"
    SENTRY_DSN = "SENTRY_DSN"
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
    """The metrics that the processes of a stage write to their logs once a minute.

    One process, API or worker, writes those of all queues and pools: without a worker too, because
    they make the autoscaler start the first one. Each worker writes its own counts. A metric
    without a unit in its name is a count.

    The first two are written for each queue, and for each pool as the sum and the greatest of its
    queues; all others for each pool. A paused queue counts as empty: its jobs wait on purpose, so
    they start no worker and ring no alarm. (`moor queues` and the log show it.)
    """

    BACKLOG = "Backlog"  # jobs that are due and wait
    OLDEST_JOB_AGE_SECONDS = "OldestJobAgeSeconds"  # how long the oldest of them has been due, or 0
    WORKERS_ALIVE = "WorkersAlive"  # workers with a live lease; 0 is written too
    # Waiting and running jobs for each live worker, or in all where there is none. With the running
    # ones, so that the autoscaler does not take away a worker that has work.
    JOBS_PER_WORKER = "JobsPerWorker"
    JOBS_STARTED = "JobsStarted"  # this and the following: of one worker, since its last write
    JOBS_FINISHED = "JobsFinished"
    JOBS_FAILED = "JobsFailed"  # without an attempt left
    JOBS_RETRIED = "JobsRetried"
    DEAD_LETTERS = "DeadLetters"  # jobs that killed their workers or cannot be read
    LISTEN_AGE_SECONDS = "ListenAgeSeconds"  # since a worker's LISTEN last received its own ping


class MetricDimension(StrEnum):
    """Every metric has the first two and one of the others, in this order, and no other.

    `worker_dimension` and `waiting_dimension` say which one a pool's metrics have.
    """

    APP = "App"
    STAGE = "Stage"
    QUEUE = "Queue"
    POOL = "Pool"


METRIC_NAMESPACE = "Moorage"
METRIC_SECONDS = 60  # between two writes, unless the environment says otherwise

DEFAULT_APP_NAME = "moorage"
# RDS refuses a name with two hyphens in a row or one at its end.
APP_NAME_PATTERN = r"^[a-z][a-z0-9]*(-[a-z0-9]+)*$"
APP_NAME_MAX_CHARACTERS = 20  # so that names made of it stay within AWS's limits
LOCAL_STAGE = "local"  # the only stage where API and job pages may need no key

API_KEYS_MAX = 2  # in API_KEY, with a space between: the old and the new one during a rotation
API_PORT = 8000
# The ports on which a worker's ECS task may reach the internet; connections to others get no
# answer. The API's ECS tasks only have 443.
HTTP_PORT, HTTPS_PORT = 80, 443
WORKER_INTERNET_PORTS = (HTTP_PORT, HTTPS_PORT)
LIVE_PATH = "/health/live"
READY_PATH = "/health/ready"
UI_PATH = "/saq"
CONSOLE_PATH = "/console"
QUEUE_NAME = "default"  # of a task that names none
QUEUE_NAME_PATTERN = r"^[a-z][a-z0-9-]{0,30}$"
QUEUE_WEIGHT_MAX = 100
# A worker pool's name. That of the default pool is empty, and no other is called "default".
POOL_NAME_PATTERN = r"^[a-z][a-z0-9-]{0,15}$"

WRONG_CREDENTIALS_EVENT = "wrong credentials"  # in the API's log, for each refused request

# Connections of one process beside its pools: one listens, one renews the lease.
OWN_CONNECTIONS = 2
MIGRATE_CONNECTIONS = 1

# The prefixes of objects in the bucket; stacks/service/task_rights.py grants rights on them.
RESULTS_PREFIX = "results/"  # workers write them, the API makes links to them
PAYLOADS_PREFIX = "payloads/"  # of jobs: API and workers write them, workers read them
LARGE_PAYLOAD_DAYS = 60  # until the bucket deletes one

RDS_CA_FILE = "/etc/ssl/rds-global-bundle.pem"  # in the image; no system trusts RDS's roots
USER = "10001:10001"  # uid and gid of every container
WRITABLE_PATH = "/tmp"  # noqa: S108 - an empty volume in the ECS task; everything else is read-only

STOP_TIMEOUT_SECONDS = 120  # the most Fargate allows between SIGTERM and SIGKILL
DRAIN_SECONDS = 100  # for running jobs after SIGTERM
STOP_MARGIN_SECONDS = 10  # at least, between drain and SIGKILL: to cancel jobs and close pools
DRAIN_MAX_SECONDS = STOP_TIMEOUT_SECONDS - STOP_MARGIN_SECONDS
KEEP_ALIVE_SECONDS = 75  # longer than the balancer's idle timeout of 60 s, else it answers 502

HEARTBEAT_FILE = "/tmp/moorage-worker-heartbeat"  # noqa: S108 - an empty volume in the ECS task
HEARTBEAT_MAX_AGE_SECONDS = 30  # an older heartbeat fails the container's health check

PAYLOAD_MAX_BYTES = 64 * 1024  # of a payload as JSON in the job's row; a larger one goes to S3
LARGE_PAYLOAD_MAX_BYTES = 5 * 1024 * 1024  # API and worker hold it in memory
BODY_MAX_BYTES = 128 * 1024  # of a request's body
JOB_BODY_MAX_BYTES = 6 * 1024 * 1024  # of a request that enqueues any job


@dataclass(frozen=True)
class ServedQueues:
    """The queues that a worker serves, and how: the value of `WORKER_QUEUES`.

        reports,mail       strictly in this order: mail's jobs only when no job of reports is due
        reports=3,mail=1   by weight: under backlog three jobs of reports for each one of mail

    `read` and `str` are each other's inverse.
    """

    names: tuple[str, ...] = (QUEUE_NAME,)
    weights: tuple[int, ...] = ()  # one for each name, or none where the order is strict

    @classmethod
    def read(cls, text: str) -> Self:
        """Raises `ValueError` with a sentence that says what is wrong."""
        parts = [part.strip() for part in text.split(",")]
        pairs = [part.partition("=") for part in parts]
        names = tuple(name.strip() for name, _, _ in pairs)
        for name in names:
            if not re.fullmatch(QUEUE_NAME_PATTERN, name):
                raise ValueError(
                    f"{name!r} is no queue's name: 1 to 31 of a-z, 0-9 and hyphens, first a letter"
                )
        if len(set(names)) < len(names):
            raise ValueError("names a queue twice")
        weights = [weight.strip() for _, equals, weight in pairs if equals]
        if weights and len(weights) < len(names):
            raise ValueError(
                "gives some queues a weight and others none: all (reports=3,mail=1) or none do"
            )
        for weight in weights:
            if not re.fullmatch(r"[0-9]{1,3}", weight) or not 1 <= int(weight) <= QUEUE_WEIGHT_MAX:
                raise ValueError(f"{weight!r} is no weight: a whole number from 1 to 100")
        return cls(names, tuple(map(int, weights)))

    def __str__(self) -> str:
        if not self.weights:
            return ",".join(self.names)
        pairs = zip(self.names, self.weights, strict=True)
        return ",".join(f"{name}={weight}" for name, weight in pairs)


def read_pools(text: str) -> dict[str, ServedQueues]:
    """The queues that each worker pool serves, from the value of `WORKER_POOLS`.

    `worker:default;worker-reports:reports=3,mail=1` names the default pool, whose name here is
    empty, and the pool reports. `render_pools` is the inverse. Raises `ValueError` with a sentence
    that says what is wrong.
    """
    pools: dict[str, ServedQueues] = {}
    for part in text.split(";"):
        process, _, queues = part.strip().partition(":")
        worker, _, pool = process.partition("-")
        is_named = pool != QUEUE_NAME and re.fullmatch(POOL_NAME_PATTERN, pool)
        if worker != ProcessName.WORKER or not (is_named or process == ProcessName.WORKER):
            raise ValueError(f"{process!r} is no worker pool: worker, or worker-NAME")
        if pool in pools:
            raise ValueError(f"names {process} twice")
        try:
            pools[pool] = ServedQueues.read(queues)
        except ValueError as error:
            raise ValueError(f"{process}: {error}") from None
    return pools


def render_pools(pools: Mapping[str, ServedQueues]) -> str:
    """The value of `WORKER_POOLS` for the queues of each pool, of which "" is the default one."""
    return ";".join(f"{pool_process(pool)}:{queues}" for pool, queues in pools.items())


def pool_process(pool: str) -> str:
    """`worker` for the default pool, whose name is empty, and `worker-reports` for reports."""
    return f"{ProcessName.WORKER}-{pool}" if pool else str(ProcessName.WORKER)


def worker_dimension(pool: str) -> tuple[MetricDimension, str]:
    """The dimension, beside App and Stage, of the metrics about a pool's workers.

    The default pool's are still written as those of the queue `default`, as they were before there
    were pools, so that history and alarms go on.
    """
    return (MetricDimension.POOL, pool) if pool else (MetricDimension.QUEUE, QUEUE_NAME)


def waiting_dimension(pool: str, queues: ServedQueues) -> tuple[MetricDimension, str]:
    """The dimension of a pool's `BACKLOG` and `OLDEST_JOB_AGE_SECONDS`.

    For the default pool that serves only the queue `default` they are the queue's own. One that
    serves other queues writes the sum and the greatest under the pool's name `default`.
    """
    if pool or queues.names == (QUEUE_NAME,):
        return worker_dimension(pool)
    return MetricDimension.POOL, QUEUE_NAME
