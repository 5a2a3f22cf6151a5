"""How the API and its queue stand, as the API tells it."""

from typing import Any

from scripts.api import Api
from scripts.aws import Aws
from scripts.doctor.model import Queue
from service.contract import QUEUE_NAME, READY_PATH

SECONDS = 10
READY = 200


def read_readiness(url: str) -> str:
    """ "" where the API is ready; else what is not, or that nobody answers."""
    import httpx

    try:
        answer = httpx.get(f"{url.rstrip('/')}{READY_PATH}", timeout=SECONDS)
    except httpx.TransportError as error:
        return f"{url} does not answer: {error}"
    if answer.status_code == READY:
        return ""
    try:
        return ready_reason(answer.json())
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{url} answers {answer.status_code}"


def ready_reason(answer: dict[str, Any]) -> str:
    """Out of `GET /health/ready`: each part that is not ready."""
    return "; ".join(f"{part}: {why}" for part, why in answer["parts"].items() if why != "ready")


def read_queue(aws: Aws) -> Queue:
    """Out of `GET /api/v1/queues/default`."""
    found = Api(aws).get("queues", QUEUE_NAME)
    return Queue(
        queued=found["queued"],
        active=found["active"],
        workers=found["workers"],
        oldest_due_seconds=found["oldest_due_seconds"],
    )
