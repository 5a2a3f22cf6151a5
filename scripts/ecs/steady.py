"""Have the ECS services of a deployment become steady, or what is in the way?"""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import ROLLOUT_DONE, ROLLOUT_FAILED, Service
from scripts.ecs.tasks import Task, find_stopped
from scripts.ecs.waiting import Missing, wait
from scripts.errors import NotFoundError, OperatorError, OverdueError
from service.contract import ProcessName
from stacks.config.naming import Output

LIMIT = timedelta(minutes=3)
LAST_LINES = 10
SERVICES = {
    ProcessName.API: Output.API_TASK_DEFINITION,
    ProcessName.WORKER: Output.WORKER_TASK_DEFINITION,
}


class RolledBackError(OperatorError):
    """ECS gave up what was deployed."""


def why_not_steady(service: Service, task_definition: str) -> str | None:
    """None when all its ECS tasks are of `task_definition` and as many as are wanted.

    Raises `RolledBackError` when that will not come about.
    """
    # The primary one is the first; one of the same task definition may have failed before it.
    rollouts = {each.task_definition: each for each in reversed(service.rollouts)}
    ours = rollouts.get(task_definition)
    if service.task_definition != task_definition or (ours and ours.state == ROLLOUT_FAILED):
        said = (ours and ours.reason) or "ECS went back to the task definition before"
        raise RolledBackError(
            f"the deployment of {service.name} failed: {said}",
            "What ran before goes on. Mend the code and `moor up` again; `moor logs` says more.",
        )
    if len(rollouts) > 1:
        return "the ECS tasks of the deployment before are stopping"
    if service.running != service.desired:
        return f"{service.running} of {service.desired} ECS tasks run"
    if ours and ours.state not in ("", ROLLOUT_DONE):
        return "ECS waits for its health"
    return None


def await_steady(
    aws: Aws,
    say: Callable[[str], None],
    clock: Clock,
    processes: Iterable[ProcessName] = tuple(SERVICES),
) -> None:
    """Wait until their ECS services are; each ECS task that fails meanwhile is told once.

    Raises `RolledBackError` or `OverdueError` with what stopped and its last lines.
    """
    known = {task.arn for task in find_stopped(aws)}
    told: list[Task] = []

    def tell(
        _services: Mapping[ProcessName, Service], _missing: Mapping[ProcessName, str | None]
    ) -> None:
        for task in find_stopped(aws):
            # Those that were replaced or are too many have not failed.
            if task.arn not in known and not task.is_replaced:
                known.add(task.arn)
                told.append(task)
                say(f"An ECS task stopped: {task.why_stopped}")

    wanted = {process: _missing(aws.output(SERVICES[process])) for process in processes}
    try:
        wait(aws, wanted, clock, limit=LIMIT, tell=tell)
    except (RolledBackError, OverdueError) as error:
        failed = [task for task in told if task.failed] or told
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
