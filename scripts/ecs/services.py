"""The ECS services of a stage and their deployments, as ECS shows them."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scripts.aws import Answer, Aws
from scripts.errors import NotFoundError
from scripts.processes import deployed

ROLLOUT_DONE, ROLLOUT_FAILED = "COMPLETED", "FAILED"


@dataclass(frozen=True)
class Rollout:
    """A deployment of an ECS service: its task definition, counts and state."""

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
    """A message of ECS about an ECS service."""

    at: datetime
    text: str


@dataclass(frozen=True)
class Service:
    """An ECS service; its first rollout is the newest."""

    process: str  # api, worker, worker-reports
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
    cluster_arn: str
    network: Mapping[str, Any]  # as `run_task` takes it
    platform_version: str
    has_exec: bool

    @property
    def primary(self) -> Rollout | None:
        return next((each for each in self.rollouts if each.is_primary), None)


def read_services(answer: Answer, names: dict[str, str]) -> dict[str, Service]:
    """From an answer of `describe_services`: the ECS services of `names` that exist."""
    return {
        names[each["serviceName"]]: _service(names[each["serviceName"]], each)
        for each in answer["services"]
        if each["status"] != "INACTIVE" and each["serviceName"] in names
    }


def _service(process: str, given: dict[str, Any]) -> Service:
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
        cluster_arn=given["clusterArn"],
        network=given.get("networkConfiguration", {}),
        platform_version=given.get("platformVersion", ""),
        has_exec=given.get("enableExecuteCommand", False),
    )


def read_rollout(given: dict[str, Any]) -> Rollout:
    """From an item of `deployments` in `describe_services`."""
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


def service_names(aws: Aws) -> dict[str, str]:
    """The stage's processes by the names of their ECS services."""
    return {aws.names.service(process): process for process in deployed(aws)}


def describe_services_call(aws: Aws) -> tuple[str, str, dict[str, Any]]:
    """The call for `Aws.together`, whose answer `every` reads."""
    names = list(service_names(aws))
    return (
        "ecs",
        "describe_services",
        {"cluster": aws.names.cluster, "services": names, "include": ["TAGS"]},
    )


def find_services(aws: Aws) -> dict[str, Service]:
    """The ECS services of API and workers. Raises `NotDeployedError` where one is missing."""
    service, operation, given = describe_services_call(aws)
    try:
        answer = aws.call(service, operation, **given)
    except NotFoundError:
        raise aws.not_deployed(f"there is no ECS cluster {aws.names.cluster}") from None
    return every(aws, answer)


def find_service(aws: Aws, process: str) -> Service:
    """The ECS service of one process. Raises `NotFoundError` where it does not exist."""
    name = aws.names.service(process)
    answer = aws.call("ecs", "describe_services", cluster=aws.names.cluster, services=[name])
    for found in read_services(answer, {name: process}).values():
        return found
    raise NotFoundError(
        f"{aws.target} has no ECS service {name}",
        f"`{aws.target.command('status')}` shows what is deployed.",
    )


def every(aws: Aws, answer: Answer) -> dict[str, Service]:
    """The ECS services as `find_services` has them, from an answer to `describe_services_call`."""
    found = read_services(answer, service_names(aws))
    for process in deployed(aws):
        if process not in found:
            raise aws.not_deployed(f"there is no ECS service {aws.names.service(process)}")
    return found


def revision(task_definition: str) -> int:
    """The revision number at the end of a task definition's ARN."""
    return int(task_definition.rsplit(":", 1)[-1])


def set_count(aws: Aws, service: Service, count: int) -> None:
    """Set the desired count."""
    aws.call(
        "ecs",
        "update_service",
        cluster=aws.names.cluster,
        service=service.name,
        desiredCount=count,
    )
