"""Have the ECS services of a deployment become steady, or what is in the way?"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.errors import NotFoundError, OperatorError, OverdueError
from service.contract import ProcessName
from stacks.config.naming import Output

STEADY_SECONDS = 180
POLL_SECONDS = 0.25
LAST_LINES = 10
SERVICES = {
    ProcessName.API: Output.API_TASK_DEFINITION,
    ProcessName.WORKER: Output.WORKER_TASK_DEFINITION,
}

Service = Mapping[str, Any]


class RolledBackError(OperatorError):
    """ECS gave up what was deployed."""


@dataclass(frozen=True)
class Stopped:
    """Why an ECS task is no more, and the container to look at."""

    arn: str
    reason: str
    container: str | None

    @classmethod
    def of(cls, task: Mapping[str, Any]) -> "Stopped":
        """From an answer of describe-tasks: the container that failed, if one did."""
        failed = [
            each
            for each in task.get("containers", [])
            if each.get("exitCode") not in (None, 0) or each.get("reason")
        ]
        reason = str(task.get("stoppedReason", "stopped"))
        if not failed:
            return cls(task["taskArn"], reason, None)
        name, code = failed[0]["name"], failed[0].get("exitCode")
        why = failed[0].get("reason") or f"exit code {code}"
        return cls(task["taskArn"], f"{reason} ({name}: {why})", name)


def why_not_steady(service: Service, task_definition: str) -> str | None:
    """None when all its ECS tasks are of `task_definition` and as many as are wanted.

    Raises `RolledBackError` when that will not come about.
    """
    name = service["serviceName"]
    # The primary one is the first; one of the same task definition may have failed before it.
    deployments = {each["taskDefinition"]: each for each in reversed(service["deployments"])}
    ours = deployments.get(task_definition, {})
    if service["taskDefinition"] != task_definition or ours.get("rolloutState") == "FAILED":
        said = ours.get("rolloutStateReason") or "ECS went back to the task definition before"
        raise RolledBackError(
            f"the deployment of {name} failed: {said}",
            "What ran before goes on. Mend the code and `moor up` again; `moor logs` says more.",
        )
    if len(deployments) > 1:
        return f"{name}: the ECS tasks of the deployment before are stopping"
    running, wanted = service["runningCount"], service["desiredCount"]
    if running != wanted:
        return f"{name}: {running} of {wanted} ECS tasks run"
    if ours.get("rolloutState") not in (None, "COMPLETED"):
        return f"{name}: ECS waits for its health"
    return None


def await_steady(
    aws: Aws,
    say: Callable[[str], None],
    processes: Iterable[ProcessName] = tuple(SERVICES),
    seconds: float = STEADY_SECONDS,
) -> None:
    """Wait until their services are; each ECS task that stops meanwhile is told once.

    Raises `RolledBackError` or `OverdueError` with what stopped and its last lines.
    """
    deadline = time.monotonic() + seconds
    known = {stopped.arn for stopped in _stopped(aws)}
    told: list[Stopped] = []
    try:
        while waits := _waits(aws, processes):
            for stopped in _stopped(aws):
                if stopped.arn not in known:
                    known.add(stopped.arn)
                    told.append(stopped)
                    say(f"An ECS task stopped: {stopped.reason}")
            if time.monotonic() > deadline:
                raise OverdueError(f"after {seconds:.0f} s: {'; '.join(waits)}")
            time.sleep(POLL_SECONDS)
    except (RolledBackError, OverdueError) as error:
        failed = [one for one in told if one.container] or told
        if not failed:
            raise
        message = f"{error}\nThe last ECS task stopped: {failed[-1].reason}"
        raise type(error)(
            "\n    ".join([message, *_last_lines(aws, failed[-1])]), error.hint
        ) from error


def _waits(aws: Aws, processes: Iterable[ProcessName]) -> list[str]:
    names = aws.names
    answer = aws.call(
        "ecs", "describe_services", cluster=names.cluster,
        services=[names.service(process) for process in processes],
    )  # fmt: skip
    found = {each["serviceName"]: each for each in answer["services"]}
    reasons = [
        why_not_steady(found[names.service(process)], aws.output(SERVICES[process]))
        for process in processes
    ]
    return [reason for reason in reasons if reason]


def _stopped(aws: Aws) -> list[Stopped]:
    cluster = aws.names.cluster
    arns = aws.call("ecs", "list_tasks", cluster=cluster, desiredStatus="STOPPED")["taskArns"]
    if not arns:
        return []
    tasks = aws.call("ecs", "describe_tasks", cluster=cluster, tasks=arns[-100:])["tasks"]
    # Those that were replaced or are too many have not failed.
    return [Stopped.of(each) for each in tasks if not is_planned(each)]


def is_planned(task: Mapping[str, Any]) -> bool:
    """Did ECS stop it because fewer, or others, are wanted?"""
    return str(task.get("stoppedReason", "")).startswith("Scaling activity initiated by")


def _last_lines(aws: Aws, stopped: Stopped) -> list[str]:
    (task,) = aws.call(
        "ecs", "describe_tasks", cluster=aws.names.cluster, tasks=[stopped.arn]
    )["tasks"]  # fmt: skip
    definition = aws.call(
        "ecs", "describe_task_definition", taskDefinition=task["taskDefinitionArn"]
    )["taskDefinition"]  # fmt: skip
    for container in definition["containerDefinitions"]:
        if container["name"] == stopped.container:
            options = container["logConfiguration"]["options"]
            stream = "/".join(
                [options["awslogs-stream-prefix"], container["name"], stopped.arn.split("/")[-1]]
            )
            try:
                events = aws.call(
                    "logs", "get_log_events", logGroupName=options["awslogs-group"],
                    logStreamName=stream, limit=LAST_LINES, startFromHead=False,
                )["events"]  # fmt: skip
            except NotFoundError:
                return []
            return [event["message"].rstrip() for event in events]
    return []
