"""ECS exec: where it is on, everything that it needs is there."""

from collections.abc import Iterator

from scripts.doctor.model import (
    NotCheckedError,
    Service,
    System,
    containers,
    known,
    services,
    task_role,
)
from scripts.doctor.permissions import allows
from scripts.doctor.rule import ECS, Rule, Severity, rule

EXEC_PAGE = f"{ECS}/ecs-exec.html"
CHANNELS = (
    "ssmmessages:CreateControlChannel", "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel", "ssmmessages:OpenDataChannel",
)  # fmt: skip
STATIC_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def _with_exec(system: System) -> tuple[Service, ...]:
    return tuple(
        service for service in services(system) if known(system, "is_exec_on", service.is_exec_on)
    )


@rule(
    "exec-read-only-root", Severity.ERROR,
    "Set enable_exec = false, or make the root writable: AWS does not support both.",
    EXEC_PAGE,
)  # fmt: skip
def exec_read_only_root(system: System) -> Iterator[str]:
    for service in _with_exec(system):
        for container in service.definition.containers:
            if container.is_root_read_only:
                yield f"{service.name}: exec is on and the root of {container.name} is read-only"


@rule(
    "exec-no-channel", Severity.ERROR,
    "Allow ssmmessages:{Create,Open}{Control,Data}Channel in the task role.",
    EXEC_PAGE,
)  # fmt: skip
def exec_no_channel(system: System) -> Iterator[str]:
    for service in _with_exec(system):
        role = task_role(system, service)
        if missing := [action for action in CHANNELS if not allows(role, action)]:
            yield f"{service.name}: exec is on and its task role may not {', '.join(missing)}"


@rule(
    "exec-no-route", Severity.ERROR,
    'Set egress = "nat", or add the interface endpoint of ssmmessages.',
    EXEC_PAGE,
)  # fmt: skip
def exec_no_route(system: System) -> Iterator[str]:
    for service in _with_exec(system):
        if service.has_public_address:
            continue
        network = known(system, "network", system.network)
        if not network.nat_gateways and "ssmmessages" not in network.endpoints:
            yield (
                f"{service.name}: exec is on, and there is neither a NAT gateway nor an endpoint "
                "of ssmmessages"
            )


@rule(
    "exec-no-init", Severity.WARNING,
    "Set linuxParameters.initProcessEnabled: it reaps the processes that a session leaves behind.",
    EXEC_PAGE,
)  # fmt: skip
def exec_no_init(system: System) -> Iterator[str]:
    for service in _with_exec(system):
        if not service.definition.main.has_init:
            yield f"{service.name}: exec is on and nothing reaps the processes of a session"


@rule(
    "static-aws-keys", Severity.ERROR,
    "Remove them: containers get keys of their task role by themselves, and these expire.",
    f"{ECS}/task-iam-roles.html",
)  # fmt: skip
def static_aws_keys(system: System) -> Iterator[str]:
    for service, container in containers(system):
        given = {*container.environment, *container.secrets}
        if keys := [name for name in STATIC_KEYS if name in given]:
            yield f"{service.name}: {container.name} has {', '.join(keys)}"


@rule(
    "pid-mode-task", Severity.ERROR,
    "Remove pidMode: of containers with one process list, only one can have sessions.",
    EXEC_PAGE,
)  # fmt: skip
def pid_mode_task(system: System) -> Iterator[str]:
    for service in services(system):
        if service.definition.pid_mode == "task":
            yield f"{service.name}: its containers share one process list (pidMode task)"


@rule(
    "start-session-allowed", Severity.WARNING,
    "Deny ssm:StartSession on ECS tasks: such a session is not logged.",
    f"{ECS}/ecs-exec.html#ecs-exec-limit-access-start-session",
)  # fmt: skip
def start_session_allowed(system: System) -> Iterator[str]:
    if not system.is_live:
        raise NotCheckedError("only IAM knows your rights; run it without --template")
    if known(system, "caller", system.caller)["ssm:StartSession"]:
        yield "you may start a session in an ECS task without ECS exec"


@rule(
    "exec-not-logged", Severity.WARNING,
    "Set the cluster's logging to OVERRIDE with a log group; allow kms:Decrypt on its key.",
    EXEC_PAGE,
)  # fmt: skip
def exec_not_logged(system: System) -> Iterator[str]:
    for service in _with_exec(system):
        cluster = known(system, "cluster", system.cluster)
        if cluster.exec_logging == "NONE" or (
            cluster.exec_logging == "OVERRIDE" and not cluster.exec_log_group
        ):
            yield f"{service.name}: exec is on and its sessions are not logged"
        elif cluster.exec_key and not allows(
            task_role(system, service), "kms:Decrypt", cluster.exec_key
        ):
            yield f"{service.name}: its task role may not use the key of the sessions"


@rule(
    "exec-key-refused", Severity.WARNING,
    "Allow yourself kms:GenerateDataKey on the cluster's key.",
    EXEC_PAGE,
)  # fmt: skip
def exec_key_refused(system: System) -> Iterator[str]:
    if not _with_exec(system) or not known(system, "cluster", system.cluster).exec_key:
        return
    if not system.is_live:
        raise NotCheckedError("only IAM knows your rights; run it without --template")
    if not known(system, "caller", system.caller)["kms:GenerateDataKey"]:
        yield "sessions are encrypted with a key that you may not use"


EXEC: tuple[Rule[System], ...] = (
    exec_read_only_root, exec_no_channel, exec_no_route, exec_no_init, static_aws_keys,
    pid_mode_task, start_session_allowed, exec_not_logged, exec_key_refused,
)  # fmt: skip
