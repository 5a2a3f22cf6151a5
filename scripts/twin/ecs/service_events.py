"""The events of an ECS service, in ECS's words."""

import uuid
from typing import Any

from scripts.twin.ecs.deployment import Deployment
from scripts.twin.ecs.task_record import now

KEPT = 100  # as in ECS


def say(service: Any, words: str, deployment: Deployment | None = None) -> None:
    """Add an event at the start of the list."""
    named = f" (deployment {deployment.id})" if deployment else ""
    event = {
        "id": str(uuid.uuid4()),
        "createdAt": now(),
        "message": f"(service {service.name}){named} {words}",
    }
    service.events = [event, *service.events][:KEPT]


def say_once(service: Any, words: str) -> bool:
    """Add an event, unless the last one says the same; returns whether it was added."""
    last: str = service.events[0]["message"] if service.events else ""
    if last.endswith(words):
        return False
    say(service, words)
    return True
