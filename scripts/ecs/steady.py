"""Waits until the ECS services of a deployment are steady, or says why they are not."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import ROLLOUT_DONE, ROLLOUT_FAILED, Service
from scripts.ecs.tasks import Task, find_stopped
from scripts.ecs.waiting import Missing, wait
from scripts.errors import NotFoundError, OperatorError, OverdueError
from scripts.processes import deployed, task_definition_output

LIMIT = timedelta(minutes=3)
LAST_LINES = 10


class RolledBackError(OperatorError):
    """ECS gave the deployment up and went back to the release before."""


def why_not_steady(service: Service, task_definition: str) -> str | None:
    """None when as many ECS tasks run as are desired, all of `task_definition`.

    Raises `RolledBackError` when the deployment has failed.
    """
    # The first is the newest; an earlier rollout of the same task definition may have failed.
    rollouts = {each.task_definition: each for each in reversed(service.rollouts)}
    ours = rollouts.get(task_definition)
    if service.task_definition != task_definition or (ours and ours.state == ROLLOUT_FAILED):
        said = (ours and ours.reason) or "ECS went back to the task definition before"
        raise RolledBackError(
            f"the deployment of {service.name} failed: {said}",
            "The release before runs on. Mend the code, `moor up` again; `moor logs` shows more.",
        )
    if len(rollouts) > 1:
        return "the ECS tasks of the deployment before are stopping"
    if service.running != service.desired:
        return f"{service.running} of {service.desired} ECS tasks run"
    if ours and ours.state not in ("", ROLLOUT_DONE):
        return "ECS waits until they are healthy"
    return None


def await_steady(
    aws: Aws,
    say: Callable[[str], None],
    clock: Clock,
    processes: Iterable[str] | None = None,
) -> None:
    """Wait until the ECS services are steady, all unless some are named; says once of each ECS task
    that it stopped.

    Raises `RolledBackError` or `OverdueError` with the last ECS task that stopped and its last
    lines.
    """
    known = {task.arn for task in find_stopped(aws)}
    stopped: list[Task] = []

    def report(_services: Mapping[str, Service], _missing: Mapping[str, str | None]) -> None:
        for task in find_stopped(aws):
            # An ECS task that was replaced or scaled in has not failed.
            if task.arn not in known and not task.is_replaced:
                known.add(task.arn)
                stopped.append(task)
                say(f"An ECS task stopped: {task.why_stopped}")

    wanted = {
        process: _missing(aws.output(task_definition_output(process)))
        for process in processes or deployed(aws)
    }
    try:
        wait(aws, wanted, clock, limit=LIMIT, report=report)
    except (RolledBackError, OverdueError) as error:
        failed = [task for task in stopped if task.failed] or stopped
        if not failed:
            raise
        message = f"{error}\nThe last ECS task stopped: {failed[-1].why_stopped}"
        raise type(error)(
            "\n    ".join([message, *_last_lines(aws, failed[-1])]), error.hint
        ) from error


def _missing(task_definition: str) -> Missing:
    return lambda service, _: why_not_steady(service, task_definition)


def _last_lines(aws: Aws, task: Task) -> list[str]:
    definition = aws.call("ecs", "describe_task_definition", taskDefinition=task.task_definition)[
        "taskDefinition"
    ]
    for container in definition["containerDefinitions"]:
        if task.failed and container["name"] == task.failed.name:
            options = container["logConfiguration"]["options"]
            stream = f"{options['awslogs-stream-prefix']}/{container['name']}/{task.id}"
            try:
                events = aws.call(
                    "logs", "get_log_events", logGroupName=options["awslogs-group"],
                    logStreamName=stream, limit=LAST_LINES, startFromHead=False,
                )["events"]  # fmt: skip
            except NotFoundError:
                return []
            return [event["message"].rstrip() for event in events]
    return []
