"""Waits until ECS has reached the wanted state, and says what is still missing."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import partial

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.autoscaling import Bounds
from scripts.ecs.services import (
    ROLLOUT_DONE,
    ROLLOUT_FAILED,
    Rollout,
    Service,
    find_services,
    revision,
)
from scripts.ecs.tasks import RUNNING, STOPPED, Task, find_tasks
from scripts.errors import OperatorError, OverdueError
from scripts.target import Target
from scripts.terminal.answer import say
from scripts.terminal.duration import in_words

LIMIT = timedelta(minutes=30)
TWIN_POLL_SECONDS, POLL_SECONDS = 0.25, 3.0
# What each state of an ECS task means, in ECS's order.
# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
MEANINGS = {
    "PROVISIONING": "making its network interface",
    "PENDING": "waiting for its containers",
    "ACTIVATING": "registering at the load balancer",
    "DEACTIVATING": "leaving the load balancer",
    "STOPPING": "draining",
    "DEPROVISIONING": "removing its network interface",
}

# Says in words what is still missing; None when nothing is.
Missing = Callable[[Service, Callable[[], list[Task]]], str | None]
# Gets the ECS services, and what is missing of each process, after each poll.
Report = Callable[[Mapping[str, Service], Mapping[str, str | None]], None]


def count_missing(allowed: Bounds, service: Service, tasks: Callable[[], list[Task]]) -> str | None:
    """How many of the desired ECS tasks run; None when they all do, within `allowed`."""
    now = service.primary
    running, pending = (now.running, now.pending) if now else (service.running, service.pending)
    # The desired count may still be the old one: ECS's API is eventually consistent.
    wanted = allowed.clamp(service.desired)
    if running == wanted == service.desired and not pending:
        return None
    return f"{running} of {wanted} running{details(tasks())}"


def rollout_missing(begun: Rollout) -> Missing:
    """A function that says what this deployment still lacks.

    The function raises `OperatorError` if the deployment has failed.
    """
    was_there = False

    def missing(service: Service, tasks: Callable[[], list[Task]]) -> str | None:
        nonlocal was_there
        found = next((each for each in service.rollouts if each.id == begun.id), None)
        if found is None:
            if not was_there and not _is_later(service.primary, begun):
                return "ECS is making the deployment"
            raise _failed(service, _instead(service, begun))
        was_there = True
        if found.state == ROLLOUT_DONE:
            return None
        if found.state == ROLLOUT_FAILED or not found.is_primary:
            raise _failed(service, found.reason)
        return (
            f"{found.running} of {found.desired} new ECS tasks running"
            f"{f', {found.failed} failed' if found.failed else ''}"
            f"{details(each for each in tasks() if each.started_by == found.id)}"
        )

    return missing


def _is_later(rollout: Rollout | None, begun: Rollout) -> bool:
    return bool(rollout and rollout.created and begun.created and rollout.created > begun.created)


def _instead(service: Service, begun: Rollout) -> str:
    if service.task_definition != begun.task_definition:
        return f"ECS has gone to revision {revision(service.task_definition)} instead"
    return "another deployment has taken its place"


def _failed(service: Service, why: str) -> OperatorError:
    return OperatorError(
        f"the deployment of the {service.process} was not completed: {why}",
        f"`moor logs {service.process}` and `moor status` show more.",
    )


def details(tasks: Iterable[Task]) -> str:
    """How many ECS tasks are in a state between starting and stopped, and what it means."""
    states = Counter(
        f"{task.status or 'PENDING'} ({meaning})"
        for task in tasks
        if task.status not in (RUNNING, STOPPED) or task.wanted == STOPPED
        if (meaning := _meaning(task))
    )
    return "".join(
        f"{', ' if i else ': '}{n} {state}" for i, (state, n) in enumerate(states.items())
    )


def _meaning(task: Task) -> str:
    if task.is_pulling:
        return "pulling image"
    if task.wanted == STOPPED and task.status == RUNNING:
        return "about to stop"
    begun = [each.name for each in task.containers if each.status == RUNNING]
    if task.status == "PENDING" and begun:
        return f"running {', '.join(begun)}"
    return MEANINGS.get(task.status, "starting")


def poll_seconds(target: Target) -> float:
    """The time between two polls of ECS."""
    return TWIN_POLL_SECONDS if target.is_local else POLL_SECONDS


class Narrator:
    """Says what each process still lacks, whenever that changes."""

    def __init__(self, begun: datetime) -> None:
        self._begun = begun
        self._said: dict[str, str] = {}

    def __call__(self, services: Mapping[str, Service], still: Mapping[str, str | None]) -> None:
        for process, text in still.items():
            # Only its events say that ECS has given up for a while before it tries again.
            trouble = next(
                (
                    event.text
                    for event in services[process].events
                    if event.at > self._begun and "unable" in event.text
                ),
                "",
            )
            line = (f"{text}; {trouble}" if trouble else text) if text else "done"
            if line != self._said.get(process):
                say(f"  {process}: {line}")
                self._said[process] = line


def wait(
    aws: Aws,
    missing: Mapping[str, Missing],
    clock: Clock,
    *,
    limit: timedelta = LIMIT,
    report: Report | None = None,
) -> None:
    """Poll ECS until nothing is missing; `report` gets every answer, by default a `Narrator`.

    Raises `OverdueError` after `limit`.
    """
    begun = clock.now()
    report = report or Narrator(begun)
    seconds = poll_seconds(aws.target)
    while True:
        services = find_services(aws)
        still = {
            process: ask(services[process], partial(find_tasks, aws, services[process]))
            for process, ask in missing.items()
        }
        report(services, still)
        left = {process: text for process, text in still.items() if text}
        if not left:
            return
        if clock.now() - begun > limit:
            raise OverdueError(
                f"not done after {in_words(limit)}: "
                + "; ".join(f"{process} {text}" for process, text in left.items()),
                "ECS goes on by itself. `moor status` shows what it is doing.",
            )
        clock.sleep(seconds)
