"""The model of a stage that the rules check, whether it was read from templates or from AWS."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from scripts.ecs.services import Rollout
from scripts.ecs.tasks import Task
from stacks.config.stage import Stage

Found = TypeVar("Found")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """One statement of a policy that allows something."""

    actions: tuple[str, ...]
    resources: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role and what its policies allow."""

    name: str
    statements: tuple[Statement, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Container:
    """One container of a task definition; `image` as the task definition names it."""

    name: str
    command: tuple[str, ...] = ()
    image: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)  # name to the ARN of its value
    depends_on: Mapping[str, str] = field(default_factory=dict)  # container to condition
    health_check: tuple[str, ...] = ()
    stop_timeout: int | None = None  # seconds; None: ECS's 30
    is_root_read_only: bool = False
    has_init: bool = False
    log_driver: str = ""
    log_options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Definition:
    """A task definition; the roles are None where they could not be read."""

    name: str
    containers: tuple[Container, ...]
    architecture: str = "X86_64"
    pid_mode: str = ""
    task_role: Role | None = None
    execution_role: Role | None = None

    @property
    def main(self) -> Container:
        """The container of the API or the worker."""
        return next((c for c in self.containers if c.name != "migrate"), self.containers[0])


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A scaling policy; `metric` is what it follows."""

    metric: str
    may_scale_in: bool = True


@dataclass(frozen=True, kw_only=True)
class Service:
    """An ECS service. `least` and `most` are the autoscaler's bounds, None without one."""

    name: str
    process: str  # api, worker
    definition: Definition
    least: int | None = None
    most: int | None = None
    # In a template: the count that it sets, or None. Live: the count now.
    desired: int | None = None
    running: int | None = None  # live only
    policies: tuple[Policy, ...] = ()
    is_exec_on: bool | None = False  # None, here and below: ECS did not say
    has_breaker: bool | None = False
    least_healthy_percent: int = 100
    most_percent: int = 200
    health_grace_seconds: int | None = None  # in a template None is 0
    has_balancer: bool = False
    has_public_address: bool = False
    uses_spot: bool = False
    subnets: tuple[str, ...] = ()

    @property
    def is_wanted(self) -> bool:
        """Should at least one of its ECS tasks run?"""
        return max(self.least or 0, self.desired or 0) > 0


@dataclass(frozen=True, kw_only=True)
class TargetGroup:
    """The target group of the load balancer."""

    health_path: str
    deregistration_seconds: int = 300


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """How the cluster logs and encrypts sessions of ECS exec."""

    exec_logging: str = "DEFAULT"  # NONE, DEFAULT, OVERRIDE
    exec_log_group: str = ""
    exec_key: str = ""


@dataclass(frozen=True, kw_only=True)
class Database:
    """The Aurora cluster; `force_ssl` is None where the parameters could not be read."""

    is_encrypted: bool = False
    is_protected: bool = False
    backup_days: int = 1
    least_acu: float = 0.5
    most_acu: float = 1.0
    force_ssl: str | None = None
    has_proxy: bool = False
    master_secret: str = ""


@dataclass(frozen=True, kw_only=True)
class Network:
    """How ECS tasks reach AWS and the internet, and how many zones they run in."""

    zones: int
    nat_gateways: int = 0
    endpoints: frozenset[str] = frozenset()  # the AWS services that have an interface endpoint


@dataclass(frozen=True, kw_only=True)
class Queue:
    """The state of a queue now, from the API."""

    name: str
    queued: int
    active: int
    workers: int
    oldest_due_seconds: float


@dataclass(frozen=True, kw_only=True)
class System:
    """A stage by parts. A part is None where it could not be read: `unread` says why."""

    stage: Stage
    now: datetime
    is_live: bool = False
    services: tuple[Service, ...] | None = None
    target_group: TargetGroup | None = None
    retention_days: Mapping[str, int | None] | None = None  # by log group; None: kept for ever
    cluster: Cluster | None = None
    database: Database | None = None
    network: Network | None = None
    image_platforms: Mapping[str, str] | None = None  # by the end of the image's name
    ca_ends: Mapping[str, datetime] | None = None  # when each root certificate of RDS expires
    caller: Mapping[str, bool] | None = None  # whether the caller has the right, by action
    readiness: str | None = None  # "" where the API is ready, else the reason
    queues: tuple[Queue, ...] | None = None
    listen_age_seconds: float | None = None
    stopped: tuple[Task, ...] | None = None  # in the last hour
    refused: tuple[str, ...] | None = None  # rights in the last hour, in the local twin only
    rollouts: Mapping[str, Rollout] | None = None  # the newest, by ECS service
    unread: Mapping[str, str] = field(default_factory=dict)


class NotCheckedError(Exception):
    """A rule cannot be checked here; the message says why."""


def known(system: System, part: str, value: Found | None) -> Found:
    """`value` of that part. Raises `NotCheckedError` where it could not be read."""
    if value is None:
        default = "AWS did not say" if system.is_live else "only a deployed stage shows it"
        raise NotCheckedError(system.unread.get(part, default))
    return value


def services(system: System, process: str | None = None) -> tuple[Service, ...]:
    """All ECS services, or those that run `process`."""
    found = known(system, "services", system.services)
    return tuple(s for s in found if process in (None, s.process))


def containers(system: System) -> tuple[tuple[Service, Container], ...]:
    """Every container with the ECS service that it belongs to."""
    return tuple((s, c) for s in services(system) for c in s.definition.containers)


def task_role(system: System, service: Service) -> Role:
    """The role of the ECS service's containers."""
    return known(system, "roles", service.definition.task_role)


def execution_role(system: System, service: Service) -> Role:
    """The role with which ECS starts the ECS tasks."""
    return known(system, "roles", service.definition.execution_role)
