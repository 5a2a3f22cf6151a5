"""Why jobs do not run. Only a deployed stage shows it."""

from collections.abc import Iterator, Mapping

from scripts.doctor.model import NotCheckedError, Service, System, known, services
from scripts.doctor.rule import ECS, Rule, Severity, rule
from scripts.ecs.services import ROLLOUT_FAILED
from service.contract import EnvVar, ProcessName, ServedQueues
from stacks.config.stage import Stage

KILLED = 137  # 128 + SIGKILL
LISTEN_MAX_SECONDS = 60
RUNBOOK = "docs/runbook.md"


@rule(
    "api-not-ready", Severity.ERROR,
    "`moor logs api` says more; `moor status` shows whether its ECS tasks run.",
    f"{RUNBOOK}#unhealthy-api",
)  # fmt: skip
def api_not_ready(system: System) -> Iterator[str]:
    if reason := known(system, "readiness", system.readiness):
        yield f"the API is not ready: {reason}"


@rule(
    "tasks-missing", Severity.ERROR,
    "`moor status` shows the events of the ECS service and why its ECS tasks stopped.",
    f"{ECS}/troubleshooting.html",
)  # fmt: skip
def tasks_missing(system: System) -> Iterator[str]:
    for service in services(system):
        running = known(system, "running", service.running)
        if service.desired and running < service.desired:
            yield f"{service.name}: {running} of {service.desired} ECS tasks run"


@rule(
    "no-worker", Severity.ERROR,
    "`moor scale worker 1` starts one (of the pool reports: `worker-reports`), or `moor wake` if "
    "the stage sleeps; `moor logs worker` shows why a worker ended.",
    f"{RUNBOOK}#no-worker",
)  # fmt: skip
def no_worker(system: System) -> Iterator[str]:
    for queue in known(system, "queues", system.queues):
        wanted = [service for service in _serving(system, queue.name) if service.is_wanted]
        if queue.workers == 0 and (queue.queued or wanted):
            yield f"no worker of queue {queue.name} is alive, and {queue.queued} jobs wait"


@rule(
    "backlog-grows-old", Severity.WARNING,
    "`moor scale worker --max N` allows more workers (of the pool reports: `worker-reports`); "
    "`moor jobs list --status active` shows what they run.",
    f"{RUNBOOK}#oldest-job-age",
)  # fmt: skip
def backlog_grows_old(system: System) -> Iterator[str]:
    for queue in known(system, "queues", system.queues):
        limit = _age_target(system.stage, queue.name)
        if not queue.workers or queue.oldest_due_seconds <= limit:
            continue
        most = sum(service.most or 0 for service in _serving(system, queue.name))
        bound = f"; the maximum is {most} workers" if most else ""
        yield (
            f"the oldest job of queue {queue.name} has waited for "
            f"{queue.oldest_due_seconds:.0f} s (target: {limit} s); {queue.queued} jobs wait, "
            f"{queue.workers} workers run {queue.active}{bound}"
        )


def _serving(system: System, queue: str) -> list[Service]:
    """The ECS services whose workers serve the queue."""
    return [
        service
        for service in services(system, ProcessName.WORKER)
        if queue in _served(service.definition.main.environment).names
    ]


def _served(environment: Mapping[str, str]) -> ServedQueues:
    text = environment.get(EnvVar.WORKER_QUEUES)
    return ServedQueues.read(text) if text else ServedQueues()


def _age_target(stage: Stage, queue: str) -> int:
    """The shortest of the pools that serve the queue."""
    targets = [p.age_target_seconds for p in stage.worker_pools if queue in p.queues.names]
    return min(targets, default=stage.worker_age_target_seconds)


@rule(
    "worker-deaf", Severity.WARNING,
    "Workers poll meanwhile; `moor restart worker` (of the pool reports: `worker-reports`) gives "
    "them new connections.",
    f"{RUNBOOK}#listen-age",
)  # fmt: skip
def worker_deaf(system: System) -> Iterator[str]:
    age = known(system, "listen_age_seconds", system.listen_age_seconds)
    if age > LISTEN_MAX_SECONDS:
        yield f"a worker has not received its own notifications for {age:.0f} s"


@rule(
    "deployment-failed", Severity.ERROR,
    "`moor logs --since 1h` shows its last lines; `cdk deploy` the fix, or `moor rollback`.",
    f"{ECS}/deployment-circuit-breaker.html",
)  # fmt: skip
def deployment_failed(system: System) -> Iterator[str]:
    for service, rollout in known(system, "rollouts", system.rollouts).items():
        if rollout.state == ROLLOUT_FAILED:
            yield f"{service}: its newest deployment failed: {rollout.reason or 'no reason given'}"


@rule(
    "task-killed", Severity.WARNING,
    "If it ran out of memory: raise its memory_mib or lower its concurrency in stages.toml. If it "
    "took too long to drain: shorter jobs.",
    f"{ECS}/stopped-task-error-codes.html",
)  # fmt: skip
def task_killed(system: System) -> Iterator[str]:
    for task in known(system, "stopped", system.stopped):
        if killed := [name for name, code in task.exit_codes.items() if code == KILLED]:
            yield (
                f"{task.service}: {', '.join(killed)} of ECS task {task.id} was killed "
                f"(exit code {KILLED}): {task.stop_reason or 'no reason given'}"
            )


@rule(
    "right-refused", Severity.ERROR,
    "`moor permissions` shows all rights of its roles; add the statement if the code has to do it.",
    "docs/local-twin.md#permissions",
)  # fmt: skip
def right_refused(system: System) -> Iterator[str]:
    if system.refused is None:
        raise NotCheckedError("only the local twin notes what IAM refuses")
    yield from system.refused


JOBS: tuple[Rule[System], ...] = (
    api_not_ready, tasks_missing, no_worker, backlog_grows_old, worker_deaf, deployment_failed,
    task_killed, right_refused,
)  # fmt: skip
