"""The ECS services of a stage and their ECS tasks, as ECS shows them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.errors import NotFoundError
from scripts.terminal.options import SERVICES
from service.contract import ProcessName

# The most that one call takes.
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_GetTaskProtection.html
TASKS_PER_CALL = 100
ROLLOUT_DONE, ROLLOUT_FAILED = "COMPLETED", "FAILED"


@dataclass(frozen=True)
class Rollout:
    """A deployment of an ECS service: ECS tasks of one task definition, and how far they are."""

    id: str
    is_primary: bool
    task_definition: str
    desired: int
    running: int
    pending: int
    failed: int
    state: str
    reason: str
    created: datetime | None


@dataclass(frozen=True)
class Event:
    """What ECS says of a service."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Service:
    """An ECS service; the first rollout is the one that is wanted."""

    process: ProcessName
    name: str
    arn: str
    desired: int
    running: int
    pending: int
    task_definition: str
    rollouts: tuple[Rollout, ...]
    events: tuple[Event, ...]  # newest first
    tags: dict[str, str]
    target_groups: tuple[str, ...]

    @property
    def primary(self) -> Rollout | None:
        return next((each for each in self.rollouts if each.is_primary), None)


@dataclass(frozen=True)
class Container:
    """One container of an ECS task; `exit_code` is None while there is none."""

    name: str
    status: str
    exit_code: int | None
    reason: str


@dataclass(frozen=True)
class Task:
    """An ECS task; `group` is `service:<name>` for those of an ECS service."""

    id: str
    arn: str
    group: str
    started_by: str  # in an ECS service: the id of the deployment
    task_definition: str
    status: str  # the last that is known
    wanted: str  # RUNNING or STOPPED
    stop_code: str
    stop_reason: str
    stopped: datetime | None
    is_pulling: bool
    containers: tuple[Container, ...]


def read_services(answer: Answer, names: dict[str, ProcessName]) -> dict[ProcessName, Service]:
    """Out of `describe_services`, those of `names` that exist."""
    return {
        names[each["serviceName"]]: _service(names[each["serviceName"]], each)
        for each in answer["services"]
        if each["status"] != "INACTIVE" and each["serviceName"] in names
    }


def _service(process: ProcessName, given: dict[str, Any]) -> Service:
    return Service(
        process=process,
        name=given["serviceName"],
        arn=given["serviceArn"],
        desired=given["desiredCount"],
        running=given["runningCount"],
        pending=given["pendingCount"],
        task_definition=given["taskDefinition"],
        rollouts=tuple(_rollout(each) for each in given.get("deployments", [])),
        events=tuple(
            sorted(
                (Event(each["createdAt"], each["message"]) for each in given.get("events", [])),
                key=lambda event: event.at,
                reverse=True,
            )
        ),
        tags={each["key"]: each["value"] for each in given.get("tags", [])},
        target_groups=tuple(
            each["targetGroupArn"]
            for each in given.get("loadBalancers", [])
            if "targetGroupArn" in each
        ),
    )


def _rollout(given: dict[str, Any]) -> Rollout:
    return Rollout(
        id=given["id"],
        is_primary=given["status"] == "PRIMARY",
        task_definition=given["taskDefinition"],
        desired=given["desiredCount"],
        running=given["runningCount"],
        pending=given["pendingCount"],
        failed=given.get("failedTasks", 0),
        state=given.get("rolloutState", ""),
        reason=given.get("rolloutStateReason", ""),
        created=given.get("createdAt"),
    )


def read_tasks(answer: Answer) -> list[Task]:
    """Out of `describe_tasks`."""
    return [_task(each) for each in answer["tasks"]]


def _task(given: dict[str, Any]) -> Task:
    return Task(
        id=given["taskArn"].rsplit("/", 1)[-1],
        arn=given["taskArn"],
        group=given.get("group", ""),
        started_by=given.get("startedBy", ""),
        task_definition=given["taskDefinitionArn"],
        status=given.get("lastStatus", ""),
        wanted=given.get("desiredStatus", ""),
        stop_code=given.get("stopCode", ""),
        stop_reason=given.get("stoppedReason", ""),
        stopped=given.get("stoppedAt"),
        is_pulling="pullStartedAt" in given and "pullStoppedAt" not in given,
        containers=tuple(
            Container(
                each["name"],
                each.get("lastStatus", ""),
                each.get("exitCode"),
                each.get("reason", ""),
            )
            for each in given.get("containers", [])
        ),
    )


def service_names(aws: Aws) -> dict[str, ProcessName]:
    """Of the stage's ECS services."""
    return {aws.names.service(process): process for process in SERVICES}


def describe_services_call(aws: Aws) -> tuple[str, str, dict[str, Any]]:
    """For `Aws.together`."""
    names = list(service_names(aws))
    return (
        "ecs",
        "describe_services",
        {"cluster": aws.names.cluster, "services": names, "include": ["TAGS"]},
    )


def find_services(aws: Aws) -> dict[ProcessName, Service]:
    """Both. Raises `NotDeployedError` where one is missing."""
    service, operation, given = describe_services_call(aws)
    try:
        answer = aws.call(service, operation, **given)
    except NotFoundError:
        raise aws.not_deployed(f"there is no ECS cluster {aws.names.cluster}") from None
    return both(aws, answer)


def both(aws: Aws, answer: Answer) -> dict[ProcessName, Service]:
    """The same, out of an answer that is there."""
    found = read_services(answer, service_names(aws))
    for process in SERVICES:
        if process not in found:
            raise aws.not_deployed(f"there is no ECS service {aws.names.service(process)}")
    return found


def find_tasks(aws: Aws, service: Service) -> list[Task]:
    """Those that run or are about to, however many."""
    arns = list(
        aws.pages(
            "ecs", "list_tasks", "taskArns", cluster=aws.names.cluster, serviceName=service.name
        )
    )
    return describe_tasks(aws, arns)


def describe_tasks(aws: Aws, arns: Sequence[str]) -> list[Task]:
    """However many; what is gone meanwhile is left out."""
    answers = aws.together(
        *(
            ("ecs", "describe_tasks", {"cluster": aws.names.cluster, "tasks": part})
            for part in parts(arns)
        )
    )
    return [task for answer in answers for task in read_tasks(answer)]


def find_protected(aws: Aws, arns: Sequence[str]) -> list[tuple[str, datetime | None]]:
    """Those that neither scale-in nor a deployment may stop: ARN, and until when."""
    answers = aws.together(
        *(
            ("ecs", "get_task_protection", {"cluster": aws.names.cluster, "tasks": part})
            for part in parts(arns)
        )
    )
    return [
        (each["taskArn"], each.get("expirationDate"))
        for answer in answers
        for each in answer["protectedTasks"]
        if each["protectionEnabled"]
    ]


def parts(items: Sequence[str]) -> Iterable[list[str]]:
    """As many as one call takes."""
    for start in range(0, len(items), TASKS_PER_CALL):
        yield list(items[start : start + TASKS_PER_CALL])


def revision(task_definition: str) -> int:
    """The number at the end of its ARN."""
    return int(task_definition.rsplit(":", 1)[-1])


def set_count(aws: Aws, service: Service, count: int) -> None:
    """The desired count alone."""
    aws.call(
        "ecs",
        "update_service",
        cluster=aws.names.cluster,
        service=service.name,
        desiredCount=count,
    )
