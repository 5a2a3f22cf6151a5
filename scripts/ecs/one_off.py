"""One ECS task outside the ECS service: start it, watch it until it ends, stop it."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import Service
from scripts.ecs.tasks import STOPPED, Task, describe_tasks
from scripts.errors import NotFoundError, OperatorError
from scripts.logs.log_reading import Event, Follower, groups
from scripts.terminal.answer import say
from service.contract import RUN, ProcessName

TWIN_POLL_SECONDS, POLL_SECONDS = 0.25, 2.0
# How late the last log lines may become readable after the end.
TWIN_LINES_SECONDS, LINES_SECONDS = 1.0, 10.0
KNOWN_SECONDS = 15  # ECS may not find a new ECS task at first: its API is eventually consistent


def container_command(command: Sequence[str]) -> list[str]:
    """The arguments of the image's entry point: one of its processes, or any program."""
    return list(command) if command[0] in set(ProcessName) else [RUN, *command]


def run_task_arguments(
    service: Service,
    *,
    task_definition: str,
    started_by: str,
    overrides: dict[str, Any],
    has_exec: bool,
) -> dict[str, Any]:
    """The arguments of `run_task` for an ECS task in the same cluster and network as those of the
    ECS service."""
    found = {
        "cluster": service.cluster_arn,
        "taskDefinition": task_definition,
        "networkConfiguration": service.network,
        "overrides": overrides,
        "startedBy": started_by,
        "enableExecuteCommand": has_exec,
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
        "count": 1,
    }
    if service.platform_version:
        found["platformVersion"] = service.platform_version
    # Not the ECS service's capacity providers: Spot could end a migration half-way.
    return {**found, "launchType": "FARGATE"}


def start(aws: Aws, arguments: dict[str, Any]) -> str:
    """Start the ECS task and return its ARN. Raises `OperatorError` with ECS's reason."""
    answer = aws.call("ecs", "run_task", **arguments)
    if answer.get("tasks"):
        arn: str = answer["tasks"][0]["taskArn"]
        return arn
    reasons = "; ".join(
        f"{each.get('reason', '')} {each.get('detail', '')}".strip()
        for each in answer.get("failures", [])
    )
    raise OperatorError(f"ECS did not start the ECS task: {reasons or 'it gives no reason'}")


def describe(aws: Aws, arn: str, clock: Clock) -> Task:
    """The ECS task as it is now. Raises `NotFoundError` where ECS does not find it."""
    for _ in range(KNOWN_SECONDS):
        for found in describe_tasks(aws, [arn]):
            return found
        clock.sleep(1)
    raise NotFoundError(f"ECS finds no ECS task {arn}")


def watch(aws: Aws, arn: str, process: str, show: Callable[[Event], None], clock: Clock) -> Task:
    """Show the log lines of the ECS task until it has stopped and no more arrive; returns it."""
    is_local = aws.target.is_local
    poll = TWIN_POLL_SECONDS if is_local else POLL_SECONDS
    last_lines = timedelta(seconds=TWIN_LINES_SECONDS if is_local else LINES_SECONDS)
    follower = Follower(
        groups(aws, (process, ProcessName.MIGRATE), ecs_task=arn.rpartition("/")[2]),
        clock.now() - timedelta(minutes=5),  # the container's clock may be behind
        clock,
    )
    ended: Task | None = None
    quiet_since = clock.now()
    while True:
        if ended is None:
            task = describe(aws, arn, clock)
            if task.status == STOPPED:
                ended, quiet_since = task, clock.now()
        if new := follower.poll():
            quiet_since = clock.now()
        for event in new:
            show(event)
        if ended is not None and clock.now() - quiet_since >= last_lines:
            return ended
        clock.sleep(poll)


def exit_code(task: Task, container: str) -> int:
    """The exit code of the container. Raises `OperatorError` where it never started."""
    if container in task.exit_codes:
        return task.exit_codes[container]
    raise OperatorError(f"the ECS task ended before the command began: {task.why_stopped}")


@contextmanager
def stopped_if_interrupted(aws: Aws, arn: str, reason: str) -> Iterator[None]:
    """Stops the ECS task after Ctrl-C, SIGTERM or a closed pipe. After any other failure it runs
    on, and a line says how to follow it."""
    id = arn.rpartition("/")[2]
    try:
        yield
    except (KeyboardInterrupt, SystemExit, BrokenPipeError):
        stop(aws, arn, reason)
        raise
    except OperatorError:
        say(f"ECS task {id} goes on: `{aws.target.command(f'logs --follow --task {id}')}`")
        raise


def heed_signals() -> None:
    """Make SIGTERM and a closed terminal end this process with its clean-up, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def stop(aws: Aws, arn: str, reason: str) -> None:
    """Stop the ECS task and say so."""
    aws.call("ecs", "stop_task", cluster=aws.names.cluster, task=arn, reason=reason)
    say(f"stopped ECS task {arn.rpartition('/')[2]}")
