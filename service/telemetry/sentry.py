"""Sends unexpected errors of requests, and of jobs that failed for good, to Sentry."""

from typing import Any

import sentry_sdk
import structlog
from sentry_sdk.types import Event, Hint
from sentry_sdk.utils import BadDsn, event_from_exception

from service import observers
from service.observers import CLOSE_SECONDS, Job
from service.settings import Settings
from service.telemetry.allowance import Allowance
from service.telemetry.hiding import shown_text

# An event costs a process about a millisecond.
EVENTS_PER_SECOND = 10

log = structlog.stdlib.get_logger("telemetry")


def start(settings: Settings, process: str) -> str | None:
    """Send errors from now on. Returns why they cannot be sent, without the address."""
    assert settings.sentry_dsn
    try:
        sentry_sdk.init(
            settings.sentry_dsn.get_secret_value(),
            environment=settings.stage,
            # Those would send log lines, requests and local variables, which hold payloads.
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_request_body_size="never",
        )
    except BadDsn:
        return (
            "SENTRY_DSN is not an address of a project (https://KEY@HOST/NUMBER). Nothing is sent"
        )
    observers.errors = Reports({"app": settings.app_name, "process": process})
    observers.closers.append(lambda: sentry_sdk.flush(CLOSE_SECONDS))
    return None


class Reports:
    """Builds an event of an error and leaves it to the SDK's thread."""

    def __init__(self, tags: dict[str, str]) -> None:
        self._tags = tags
        self._allowance = Allowance(EVENTS_PER_SECOND)

    def request_failed(self, error: BaseException, method: str, route: str | None) -> None:
        self._send(error, None, f"{method} {route or 'unknown path'}", {"method": method})

    def job_failed(self, error: BaseException, payload: Any, queue: str, job: Job) -> None:
        about = {
            "task": job.function,
            "queue": queue,
            "job_key": job.key,
            "attempt": str(job.attempts),
        }
        self._send(error, payload, job.function, about)

    def _send(self, error: BaseException, payload: Any, where: str, tags: dict[str, str]) -> None:
        if not self._allowance.take():
            return
        try:
            sentry_sdk.capture_event(*self._event(error, payload, where, tags))
        except Exception as failure:  # an error that cannot be told must not become another one
            log.warning("an error could not be reported", error=type(failure).__name__)

    def _event(
        self, error: BaseException, payload: Any, where: str, tags: dict[str, str]
    ) -> tuple[Event, Hint]:
        event, hint = event_from_exception(
            error, client_options=sentry_sdk.get_client().options, mechanism={"type": "moorage"}
        )
        for found in event["exception"]["values"]:  # with the errors that caused it
            found["value"] = shown_text(str(found.get("value") or ""), payload)
        event["transaction"] = where
        event["tags"] = self._tags | tags
        if observers.tracer is not None and (ids := observers.tracer.ids()):
            event["contexts"] = {"trace": {"trace_id": ids[0], "span_id": ids[1]}}
        return event, hint
