"""What watches requests and jobs from outside. Each is None unless it is on: off, it is free.

`service/telemetry/` sets them at the start of a process, and alone imports their libraries.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

CLOSE_SECONDS = 2.0
TRACEPARENT = "traceparent"  # in a job's meta: the span that enqueued it, as W3C Trace Context


class Job(Protocol):
    """The part of SAQ's job that is watched."""

    key: str
    function: str
    meta: dict[Any, Any]
    attempts: int


class RunSpan(Protocol):
    """The span of one attempt of a job."""

    def called(self) -> None:
        """The task's code has run: what follows is the queue's own."""

    def end(self, outcome: str, error: BaseException | None) -> None:
        """The attempt is over: "complete", "failed", "retried", "aborted" or "handed back"."""


class Tracer(Protocol):
    """Records where the time of requests and jobs goes."""

    def sending(self, queue: str, jobs: Sequence[Job]) -> AbstractContextManager[None]:
        """A block in which the jobs are enqueued. It gives each the trace that it belongs to."""

    def running(self, queue: str, job: Job) -> RunSpan | None:
        """Begin the span of an attempt, for the rest of this context; None: it has none."""

    def answering(self, app: Any) -> Any:
        """The ASGI application, with a span for each request."""

    def ids(self) -> tuple[str, str] | None:
        """The ids of the trace and the span that are being recorded here."""


class ErrorReports(Protocol):
    """Sends errors to a service that collects them."""

    def request_failed(self, error: BaseException, method: str, route: str | None) -> None:
        """A request has ended in an unexpected error."""

    def job_failed(self, error: BaseException, payload: Any, queue: str, job: Job) -> None:
        """A job has failed, and gets no more attempts. No value of the payload is sent."""


tracer: Tracer | None = None
errors: ErrorReports | None = None
meter: Callable[[Mapping[Any, str], Mapping[Any, float]], None] | None = None
"""Called with the dimensions and values of each write of metrics."""
closers: list[Callable[[], None]] = []
"""What sends the rest at the end of the process."""


def close() -> None:
    """Send what has not been sent, for two seconds at most."""
    threads = [threading.Thread(target=each, daemon=True) for each in closers]
    closers.clear()
    for thread in threads:
        thread.start()
    ends_at = time.monotonic() + CLOSE_SECONDS
    for thread in threads:
        thread.join(max(0.0, ends_at - time.monotonic()))
