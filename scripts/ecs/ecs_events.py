"""What ECS itself did, as events among the lines of a log: deployments and ends of ECS tasks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.ecs.tasks import STOPPED, Task, describe_tasks
from scripts.logs.log_lines import ECS
from scripts.logs.log_reading import Event, milliseconds
from service.contract import ProcessName


@dataclass(frozen=True)
class EcsEvents:
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
                cluster=cluster, serviceName=service, desiredStatus=STOPPED,
            )
        )  # fmt: skip
        yield from stops(describe_tasks(self.aws, arns))


def service_events(service: dict[str, Any]) -> Iterator[Event]:
    """What ECS says of the service in `describe_services`."""
    for each in service.get("events", []):
        yield Event(each["id"], milliseconds(each["createdAt"]), ECS, "", each["message"])


def stops(tasks: Iterable[Task]) -> Iterator[Event]:
    """Those that have ended, with the reason."""
    for each in tasks:
        if each.status == STOPPED and each.stopped:
            yield Event(
                f"{each.id}-stopped", milliseconds(each.stopped), ECS, each.id,
                f"ECS task {each.id} stopped: {each.why_stopped}",
            )  # fmt: skip
