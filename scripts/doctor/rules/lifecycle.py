"""How ECS tasks start, stay healthy, stop and are replaced."""

from collections.abc import Iterator

from scripts.doctor.model import NotCheckedError, System, known, services
from scripts.doctor.rule import DOCS, ECS, Rule, Severity, rule
from service.contract import (
    LIVE_PATH,
    READY_PATH,
    STOP_MARGIN_SECONDS,
    STOP_TIMEOUT_SECONDS,
    EnvVar,
    ProcessName,
)

DEFAULT_STOP_SECONDS = 30  # ECS's default of a container
# For migrations that find nothing to do, two seconds until the first answer, two health checks.
STARTUP_SECONDS = 30
DEPLOYMENT_PAGE = f"{ECS}/service_definition_parameters.html"


@rule(
    "stop-timeout", Severity.ERROR,
    f"Set stopTimeout to at most {STOP_TIMEOUT_SECONDS}, and lower drain_seconds to fit into it.",
    f"{ECS}/task_definition_parameters.html#container_definition_timeout",
)  # fmt: skip
def stop_timeout(system: System) -> Iterator[str]:
    for service in services(system):
        container = service.definition.main
        seconds = container.stop_timeout or DEFAULT_STOP_SECONDS
        if seconds > STOP_TIMEOUT_SECONDS:
            yield f"{service.name}: stopTimeout {seconds} s; Fargate allows {STOP_TIMEOUT_SECONDS}"
        drain = container.environment.get(EnvVar.DRAIN_SECONDS, "")
        if drain.isdecimal() and seconds < int(drain) + STOP_MARGIN_SECONDS:
            yield (
                f"{service.name}: it drains for {drain} s and needs {STOP_MARGIN_SECONDS} s more, "
                f"but is killed after {seconds} s"
            )


@rule(
    "drain-unset", Severity.WARNING,
    "Set DRAIN_SECONDS in the container's environment, as the stacks do from drain_seconds.",
)  # fmt: skip
def drain_unset(system: System) -> Iterator[str]:
    for service in services(system):
        if EnvVar.DRAIN_SECONDS not in service.definition.main.environment:
            yield f"{service.name}: DRAIN_SECONDS is not set, so it does not know its time to drain"


@rule(
    "worker-without-health-check", Severity.ERROR,
    "Give the container the health check `python -m service healthcheck`.",
    f"{ECS}/healthcheck.html",
)  # fmt: skip
def worker_without_health_check(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.WORKER):
        if not service.definition.main.health_check:
            yield f"{service.name}: a worker that hangs counts as healthy"


@rule(
    "balancer-asks-database", Severity.ERROR,
    f"Set the target group's health check path to {LIVE_PATH}, which calls nothing else.",
    DOCS,
)  # fmt: skip
def balancer_asks_database(system: System) -> Iterator[str]:
    path = known(system, "target_group", system.target_group).health_path
    if path == READY_PATH:
        yield (
            f"the load balancer checks {path}: a failover of the database would replace every ECS "
            "task"
        )
    elif path != LIVE_PATH:
        yield f"the load balancer checks {path}, which may depend on other services"


@rule(
    "health-grace-short", Severity.WARNING,
    f"Set the ECS service's health check grace period to {STARTUP_SECONDS} s or more.",
    DEPLOYMENT_PAGE,
)  # fmt: skip
def health_grace_short(system: System) -> Iterator[str]:
    for service in services(system):
        if not service.has_balancer:
            continue
        seconds = service.health_grace_seconds
        if seconds is None and not system.is_live:
            seconds = 0  # ECS's default
        if (seconds := known(system, "health_grace_seconds", seconds)) < STARTUP_SECONDS:
            yield f"{service.name}: the grace period of {seconds} s is shorter than its start takes"


@rule(
    "deregistration-slow", Severity.WARNING,
    "Set deregistration_delay.timeout_seconds of the target group to 30.",
    "https://docs.aws.amazon.com/elasticloadbalancing/latest/application/"
    "edit-target-group-attributes.html#deregistration-delay",
)  # fmt: skip
def deregistration_slow(system: System) -> Iterator[str]:
    delay = known(system, "target_group", system.target_group).deregistration_seconds
    for service in services(system):
        seconds = service.definition.main.stop_timeout or DEFAULT_STOP_SECONDS
        if service.has_balancer and delay > seconds:
            yield (
                f"{service.name}: the load balancer waits {delay} s for old requests, so each stop "
                "takes that long"
            )


@rule(
    "breaker-off", Severity.ERROR,
    "Switch the deployment circuit breaker on, with rollback.",
    f"{ECS}/deployment-circuit-breaker.html",
)  # fmt: skip
def breaker_off(system: System) -> Iterator[str]:
    for service in services(system):
        if not known(system, "has_breaker", service.has_breaker):
            yield f"{service.name}: ECS tries to start a broken release for three hours"


@rule(
    "api-least-healthy", Severity.ERROR,
    "Set minimumHealthyPercent of the API to 100.",
    DEPLOYMENT_PAGE,
)  # fmt: skip
def api_least_healthy(system: System) -> Iterator[str]:
    for service in services(system, ProcessName.API):
        if service.least_healthy_percent < 100:
            yield (
                f"{service.name}: during a deployment only {service.least_healthy_percent} % of "
                "its ECS tasks have to run"
            )


@rule(
    "count-reset-by-deploy", Severity.WARNING,
    "Take the desired count out of the template: it belongs to the autoscaler.",
    f"{ECS}/service-auto-scaling.html",
)  # fmt: skip
def count_reset_by_deploy(system: System) -> Iterator[str]:
    if system.is_live:
        raise NotCheckedError("a running ECS service always has a count; use --template")
    for service in services(system):
        names = system.stage.names
        of = {names.service(each.name): each for each in system.stage.processes}
        given = of.get(service.name) or system.stage.process(service.process)
        is_asked_for = given is not None and given.desired_count is not None
        if service.desired is not None and service.most is not None and not is_asked_for:
            yield (
                f"{service.name}: each deploy sets its count to {service.desired}, against the "
                "autoscaler, although stages.toml does not set it"
            )


@rule(
    "migrate-not-first", Severity.ERROR,
    "Make the main container depend on `migrate` with the condition SUCCESS.",
    f"{ECS}/task_definition_parameters.html#container_definition_dependson",
)  # fmt: skip
def migrate_not_first(system: System) -> Iterator[str]:
    for service in services(system):
        names = {container.name for container in service.definition.containers}
        if ProcessName.MIGRATE not in names:
            yield f"{service.name}: nothing migrates the database before it starts"
        elif service.definition.main.depends_on.get(ProcessName.MIGRATE) != "SUCCESS":
            yield f"{service.name}: it does not wait for its migrations to succeed"


LIFECYCLE: tuple[Rule[System], ...] = (
    stop_timeout, drain_unset, worker_without_health_check, balancer_asks_database,
    health_grace_short, deregistration_slow, breaker_off, api_least_healthy,
    count_reset_by_deploy, migrate_not_first,
)  # fmt: skip
