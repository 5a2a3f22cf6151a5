"""What ECS itself did, as events among the lines of a log: deployments and ends of ECS tasks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.logs.log_lines import ECS
from scripts.logs.log_reading import Event, milliseconds
from service.contract import ProcessName

DESCRIBED = 100  # the most ECS tasks that one call describes


@dataclass(frozen=True)
class Happenings:
    """Of one ECS service. ECS shows the last 100 events, and for an hour which ECS tasks ended."""

    aws: Aws
    process: ProcessName

    def read(self, since: int) -> Iterator[Event]:
        names = self.aws.names
        cluster, service = names.cluster, names.service(self.process)
        answer = self.aws.call("ecs", "describe_services", cluster=cluster, services=[service])
        for each in answer["services"]:
            yield from service_events(each)
        arns = list(
            self.aws.pages(
                "ecs", "list_tasks", "taskArns",
                cluster=cluster, serviceName=service, desiredStatus="STOPPED",
            )
        )  # fmt: skip
        for start in range(0, len(arns), DESCRIBED):
            part = arns[start : start + DESCRIBED]
            answer = self.aws.call("ecs", "describe_tasks", cluster=cluster, tasks=part)
            yield from stops(answer["tasks"])


def service_events(service: dict[str, Any]) -> Iterator[Event]:
    """What ECS says of the service in `describe_services`."""
    for each in service.get("events", []):
        yield Event(each["id"], milliseconds(each["createdAt"]), ECS, "", each["message"])


def stops(tasks: list[dict[str, Any]]) -> Iterator[Event]:
    """The ECS tasks of `describe_tasks` that have ended, with the reason."""
    for each in tasks:
        if each.get("lastStatus") != "STOPPED" or "stoppedAt" not in each:
            continue
        id = each["taskArn"].rpartition("/")[2]
        yield Event(
            f"{id}-stopped", milliseconds(each["stoppedAt"]), ECS, id,
            f"ECS task {id} stopped: {why_stopped(each)}",
        )  # fmt: skip


def why_stopped(task: dict[str, Any]) -> str:
    """The reason that ECS gives, and which containers failed."""
    reason = task.get("stoppedReason") or "no reason is given"
    details = []
    for each in task.get("containers", []):
        said = []
        if each.get("exitCode"):
            said.append(f"exit code {each['exitCode']}")
        if each.get("reason"):
            said.append(each["reason"])
        if said:
            details.append(f"{each['name']}: {', '.join(said)}")
    return f"{reason} ({'; '.join(details)})" if details else reason
