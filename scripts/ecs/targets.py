"""The addresses behind a load balancer, and waiting until one of them gets requests."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from scripts.aws import Aws
from scripts.clock import Clock
from scripts.ecs.services import Service
from scripts.ecs.waiting import LIMIT, poll_seconds
from scripts.errors import OverdueError
from scripts.terminal.answer import say
from scripts.terminal.duration import in_words

HEALTHY = "healthy"


@dataclass(frozen=True)
class TargetHealth:
    """The health of one address, as the load balancer sees it."""

    address: str
    state: str
    reason: str


def read_targets(answers: Iterable[Mapping[str, Any]]) -> list[TargetHealth]:
    """From answers of `describe_target_health`."""
    return [
        TargetHealth(
            f"{each['Target']['Id']}:{each['Target'].get('Port', '')}",
            each["TargetHealth"]["State"],
            each["TargetHealth"].get("Description", ""),
        )
        for answer in answers
        for each in answer["TargetHealthDescriptions"]
    ]


def find_targets(aws: Aws, service: Service) -> list[TargetHealth]:
    """The targets of an ECS service."""
    calls = [
        ("elbv2", "describe_target_health", {"TargetGroupArn": arn})
        for arn in service.target_groups
    ]
    return read_targets(aws.together(*calls))


def await_healthy(aws: Aws, service: Service, clock: Clock, *, limit: timedelta = LIMIT) -> None:
    """Wait until a target of the ECS service is healthy, if it has a load balancer, which answers
    503 until then.

    Says what it waits for. Raises `OverdueError` after `limit`.
    """
    begun, said = clock.now(), ""
    while service.target_groups and (text := _missing(find_targets(aws, service))):
        if text != said:
            say(f"  {service.process}: {text}")
            said = text
        if clock.now() - begun > limit:
            raise OverdueError(
                f"after {in_words(limit)} the {service.process} gets no requests: {text}",
                f"`{aws.target.command(f'logs {service.process}')}` shows its log.",
            )
        clock.sleep(poll_seconds(aws.target))


def _missing(targets: Iterable[TargetHealth]) -> str | None:
    found = list(targets)
    if any(each.state == HEALTHY for each in found):
        return None
    states = dict.fromkeys(
        f"{each.state} ({each.reason})" if each.reason else each.state for each in found
    )
    return f"no healthy target: {', '.join(states) or 'none is registered'}"
