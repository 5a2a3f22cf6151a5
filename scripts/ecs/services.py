"""The ECS services of a stage and their deployments, as ECS shows them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.errors import NotFoundError
from scripts.terminal.options import SERVICES
from service.contract import ProcessName

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
        rollouts=tuple(read_rollout(each) for each in given.get("deployments", [])),
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


def read_rollout(given: dict[str, Any]) -> Rollout:
    """Out of the `deployments` of `describe_services`."""
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
