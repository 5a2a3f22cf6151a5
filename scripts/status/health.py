"""The state of a stage at one moment, from what AWS answers."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from scripts.ecs.alarms import Alarm, sections_at_rest
from scripts.ecs.autoscaling import Autoscaling, Bounds, configured
from scripts.ecs.services import ROLLOUT_FAILED, Event, Service, revision
from scripts.ecs.sleep_state import is_asleep
from scripts.ecs.targets import TargetHealth
from scripts.ecs.tasks import Task
from scripts.ecs.waiting import details
from scripts.processes import WORKER
from scripts.target import Target
from scripts.twin.client.permissions import is_off, newest_refusals
from service.contract import Metric

EVENTS, STOPPED_TASKS = 5, 5  # shown of each ECS service, and of the stage
REFUSED_WITHIN = timedelta(minutes=15)
ACU = "Acu"  # the id of the database's metric
SHOWN = (Metric.BACKLOG, Metric.OLDEST_JOB_AGE_SECONDS, Metric.WORKERS_ALIVE)  # of each pool


@dataclass(frozen=True)
class ServiceHealth:
    """One ECS service. `bounds` is None without an autoscaler, `configured_bounds` for a pool that
    stages.toml does not have, `template_revision` where the stack's outputs do not have it;
    `leaving` counts ECS tasks of earlier deployments."""

    process: str
    name: str
    desired: int
    running: int
    pending: int
    starting: str  # the states of the pending ECS tasks
    leaving: int
    rollout: str
    reason: str
    revision: int
    template_revision: int | None
    bounds: Bounds | None
    configured_bounds: Bounds | None
    bounds_until: datetime | None
    is_asleep: bool
    events: tuple[Event, ...]


@dataclass(frozen=True)
class StoppedTask:
    """An ECS task that has stopped. ECS remembers it for about an hour."""

    id: str
    of: str
    at: datetime | None
    stop_code: str
    reason: str
    exit_codes: dict[str, int]


@dataclass(frozen=True)
class QueueHealth:
    """What one pool of workers has to do; `at` is the time of the measurement."""

    backlog: int
    oldest_job_seconds: float
    workers_alive: int
    at: datetime | None


@dataclass(frozen=True)
class Health:
    """The whole stage; `acu` is None where there is no such metric, as in the local twin."""

    stage: str
    at: datetime
    services: tuple[ServiceHealth, ...]
    targets: tuple[TargetHealth, ...]
    queue: QueueHealth | None  # of the default pool
    pools: dict[str, QueueHealth | None]  # of each further one, by its process
    acu: float | None
    alarms: tuple[Alarm, ...]
    stopped: tuple[StoppedTask, ...]
    warnings: tuple[str, ...]


def judge_service(
    target: Target,
    service: Service,
    scaling: Autoscaling | None,
    starting: Iterable[Task],
    template: str | None,
) -> ServiceHealth:
    """The state of one ECS service; `template` is the task definition's ARN in the stack."""
    now = service.primary
    return ServiceHealth(
        process=service.process,
        name=service.name,
        desired=service.desired,
        running=service.running,
        pending=service.pending,
        starting=details(starting).removeprefix(": "),
        leaving=sum(each.running for each in service.rollouts if not each.is_primary),
        rollout=now.state if now else "",
        reason=now.reason if now else "",
        revision=revision(service.task_definition),
        template_revision=revision(template) if template else None,
        bounds=scaling.bounds if scaling else None,
        configured_bounds=configured(target.stage, service.process),
        bounds_until=scaling.revert.at if scaling and scaling.revert else None,
        is_asleep=is_asleep(service, scaling),
        events=service.events[:EVENTS],
    )


def warn(target: Target, services: Iterable[ServiceHealth]) -> list[str]:
    """The warnings about the ECS services."""
    return [line for each in services for line in _warnings(target, each)]


def _warnings(target: Target, service: ServiceHealth) -> Iterable[str]:
    name = service.process
    if service.template_revision not in (None, service.revision):
        yield (
            f"{name} runs revision {service.revision}, the stack's template says "
            f"{service.template_revision}: a deployment was rolled back, or `moor rollback` was "
            f"used; `{target.command('deployments')}` shows which"
        )
    if service.rollout == ROLLOUT_FAILED:
        yield f"{name}: the deployment failed: {service.reason}"
    if service.is_asleep:
        yield f"{name} sleeps; `{target.command('wake')}` wakes it"
        return
    if service.configured_bounds is None:
        yield f"{name} is not in stages.toml any more: the next deploy removes it"
    elif service.bounds not in (None, service.configured_bounds):
        until = f" until {service.bounds_until:%Y-%m-%d %H:%M} UTC" if service.bounds_until else ""
        yield (
            f"{name} has the bounds {service.bounds}{until}, stages.toml says "
            f"{service.configured_bounds}: `moor scale` was used, or a deploy is due"
        )
    if service.bounds and service.bounds.clamp(service.desired) != service.desired:
        yield f"{name}: its count is {service.desired}, outside its bounds {service.bounds}"


def warn_of_alarms(
    target: Target, services: Iterable[ServiceHealth], alarms: Iterable[Alarm]
) -> Iterable[str]:
    """The warnings about alarms that are on in a sleeping stage, or off in one that runs."""
    services, alarms = list(services), list(alarms)
    least = {
        each.process: each.bounds.minimum if each.bounds else each.desired for each in services
    }
    at_rest = sections_at_rest(target.stage, least)
    if all(each.is_asleep for each in services):
        if on := sum(alarm.tells for alarm in alarms):
            yield (
                f"{on} of {len(alarms)} alarms are on although the stage sleeps: a deploy does "
                f"that; `{target.command('sleep')}` switches them off"
            )
        return
    if off := sum(not alarm.tells and alarm.section not in at_rest for alarm in alarms):
        yield (
            f"{off} of {len(alarms)} alarms are off and notify nobody; "
            f"`{target.command('wake')}` switches them on"
        )


def warn_of_iam(home: Path, now: datetime) -> Iterable[str]:
    """The warnings about rights that the local twin has refused lately, or refuses no more."""
    if is_off(home):
        yield "IAM is off: what roles may not do is let through; `moor up --iam` turns it on"
    yield from newest_refusals(home, now - REFUSED_WITHIN)


def last_stopped(tasks: Iterable[Task]) -> list[StoppedTask]:
    """The ECS tasks that stopped last, newest first."""
    ended = sorted(
        (task for task in tasks if task.stopped), key=lambda task: str(task.stopped), reverse=True
    )
    return [
        StoppedTask(
            id=task.id,
            of=task.service,
            at=task.stopped,
            stop_code=task.stop_code,
            reason="; ".join(
                dict.fromkeys(
                    text
                    for text in (task.stop_reason, *(c.reason for c in task.containers))
                    if text
                )
            ),
            exit_codes=task.exit_codes,
        )
        for task in ended[:STOPPED_TASKS]
    ]


def metric_id(metric: str, process: str = WORKER) -> str:
    """The id of a pool's metric in a call of `get_metric_data`: `backlog_worker_reports`."""
    pool = "" if process == WORKER else f"_{process.replace('-', '_')}"
    return f"{metric[0].lower()}{metric[1:]}{pool}"


def read_metrics(
    answer: Mapping[str, Any], processes: Iterable[str]
) -> tuple[dict[str, QueueHealth | None], float | None]:
    """What each pool has to do, and the ACU, from `get_metric_data`, whose newest values come
    first."""
    found = {
        each["Id"].lower(): (each["Values"][0], each["Timestamps"][0])
        for each in answer["MetricDataResults"]
        if each["Values"]
    }
    acu = found.get(ACU.lower())
    return {process: _queue(found, process) for process in processes}, acu[0] if acu else None


def _queue(found: Mapping[str, tuple[float, datetime]], process: str) -> QueueHealth | None:
    keys = [metric_id(metric, process).lower() for metric in SHOWN]
    if not found.keys() >= set(keys):
        return None
    backlog, oldest, workers = (found[key][0] for key in keys)
    return QueueHealth(int(backlog), oldest, int(workers), min(found[key][1] for key in keys))
