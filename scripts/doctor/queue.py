"""Reads the state of the API and of its queues from the API."""

from typing import Any

from scripts.api import Api
from scripts.aws import Aws
from scripts.doctor.model import Queue
from service.contract import READY_PATH

TIMEOUT_SECONDS = 10
READY = 200


def read_readiness(url: str) -> str:
    """ "" where the API is ready; else the parts that are not, or that it does not answer."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}{READY_PATH}", timeout=TIMEOUT_SECONDS)
    except httpx.TransportError as error:
        return f"{url} does not answer: {error}"
    if answer.status_code == READY:
        return ""
    try:
        return ready_reason(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{url} answers {answer.status_code}"


def ready_reason(answer: dict[str, Any]) -> str:
    """Each part that is not ready in an answer of `GET /health/ready`."""
    return "; ".join(f"{part}: {why}" for part, why in answer["parts"].items() if why != "ready")


def read_queues(aws: Aws) -> tuple[Queue, ...]:
    """The queues from `GET /api/v1/queues`."""
    return tuple(
        Queue(
            name=found["name"],
            queued=found["queued"],
            active=found["active"],
            workers=found["workers"],
            oldest_due_seconds=found["oldest_due_seconds"],
        )
        for found in Api(aws).get("queues")["items"]
    )
