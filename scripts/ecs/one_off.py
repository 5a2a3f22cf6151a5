"""One ECS task beside the ECS service: started, watched until it ends, stopped if need be."""

import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from scripts.aws import Answer, Aws
from scripts.clock import Clock
from scripts.ecs.tasks import STOPPED, Task, describe_tasks
from scripts.errors import NotFoundError, OperatorError
from scripts.logs.log_reading import Event, Follower, groups
from scripts.terminal.answer import say
from service.contract import RUN, ProcessName

TWIN_POLL_SECONDS, POLL_SECONDS = 0.25, 2.0
# The last lines are readable so long after the end, with some to spare.
TWIN_LINES_SECONDS, LINES_SECONDS = 1.0, 10.0
KNOWN_SECONDS = 15  # what was started a moment ago is not known everywhere yet


def container_command(command: Sequence[str]) -> list[str]:
    """What follows the image's entry point: a process of the image, or any program."""
    return list(command) if command[0] in set(ProcessName) else [RUN, *command]


def run_task_arguments(
    service: Answer,
    *,
    task_definition: str,
    started_by: str,
    overrides: dict[str, Any],
    has_exec: bool,
) -> dict[str, Any]:
    """For `run_task`: in the place of the ECS service's own ECS tasks, out of what
    `describe_services` says of it."""
    found = {
        "cluster": service["clusterArn"],
        "taskDefinition": task_definition,
        "networkConfiguration": service["networkConfiguration"],
        "overrides": overrides,
        "startedBy": started_by,
        "enableExecuteCommand": has_exec,
        "propagateTags": "TASK_DEFINITION",
        "enableECSManagedTags": True,
        "count": 1,
    }
    if version := service.get("platformVersion"):
        found["platformVersion"] = version
    # Not the service's strategy: it may say Spot, which would end a migration half-way.
    return {**found, "launchType": "FARGATE"}


def start(aws: Aws, arguments: dict[str, Any]) -> str:
    """Start it; its ARN. Raises `OperatorError` with ECS's reason."""
    answer = aws.call("ecs", "run_task", **arguments)
    if answer.get("tasks"):
        arn: str = answer["tasks"][0]["taskArn"]
        return arn
    reasons = "; ".join(
        f"{each.get('reason', '')} {each.get('detail', '')}".strip()
        for each in answer.get("failures", [])
    )
    raise OperatorError(f"ECS started nothing: {reasons or 'it gives no reason'}")


def describe(aws: Aws, arn: str, clock: Clock) -> Task:
    """The ECS task as it is now. Raises `NotFoundError` where ECS does not know it."""
    for _ in range(KNOWN_SECONDS):
        for found in describe_tasks(aws, [arn]):
            return found
        clock.sleep(1)
    raise NotFoundError(f"ECS knows no ECS task {arn}")


def watch(
    aws: Aws, arn: str, process: ProcessName, show: Callable[[Event], None], clock: Clock
) -> Task:
    """Show its lines until it has ended and no more come; the ECS task as it is then."""
    is_local = aws.target.is_local
    poll = TWIN_POLL_SECONDS if is_local else POLL_SECONDS
    last_lines = timedelta(seconds=TWIN_LINES_SECONDS if is_local else LINES_SECONDS)
    follower = Follower(
        groups(aws, (process, ProcessName.MIGRATE), ecs_task=arn.rpartition("/")[2]),
        clock.now() - timedelta(minutes=5),  # its clock may be behind
        clock,
    )
    ended: Task | None = None
    quiet_since = clock.now()
    while True:
        if ended is None:
            task = describe(aws, arn, clock)
            if task.status == STOPPED:
                ended, quiet_since = task, clock.now()
        if new := follower.look():
            quiet_since = clock.now()
        for event in new:
            show(event)
        if ended is not None and clock.now() - quiet_since >= last_lines:
            return ended
        clock.sleep(poll)


def exit_code(task: Task, container: str) -> int:
    """Of the container. Raises `OperatorError` where it has none: it was never started."""
    if container in task.exit_codes:
        return task.exit_codes[container]
    raise OperatorError(f"the ECS task ended before the command began: {task.why_stopped}")


@contextmanager
def stopped_if_interrupted(aws: Aws, arn: str, reason: str) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a reader that is gone stop the ECS task; after any other failure it
    goes on, and that is said."""
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
    """From now on SIGTERM and a closed terminal end this process in good order, as Ctrl-C does."""
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))


def stop(aws: Aws, arn: str, reason: str) -> None:
    """Stop it, and say so."""
    aws.call("ecs", "stop_task", cluster=aws.names.cluster, task=arn, reason=reason)
    say(f"stopped ECS task {arn.rpartition('/')[2]}")
