"""What ECS itself did, as log events: messages of ECS services and stopped ECS tasks."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from scripts.aws import Aws
from scripts.ecs.tasks import STOPPED, Task, describe_tasks
from scripts.logs.log_lines import ECS
from scripts.logs.log_reading import Event, milliseconds


@dataclass(frozen=True)
class EcsEvents:
    """A source of log events about one ECS service: its last 100 messages, and the ECS tasks that
    stopped in the last hour. ECS shows no more."""

    aws: Aws
    process: str

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
    """One event for each ECS task that has stopped, with the reason."""
    for each in tasks:
        if each.status == STOPPED and each.stopped:
            yield Event(
                f"{each.id}-stopped", milliseconds(each.stopped), ECS, each.id,
                f"ECS task {each.id} stopped: {each.why_stopped}",
            )  # fmt: skip
