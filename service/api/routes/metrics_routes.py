"""`/metrics`, for Prometheus: the figures of all queues and pools, and of the runs that ended.

https://prometheus.io/docs/instrumenting/exposition_formats/
"""

import asyncio
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from litestar import MediaType, Response, get
from litestar.datastructures import State
from litestar.types import ControllerRouterHandler

from service.contract import METRIC_NAMESPACE, Metric
from service.processes.queue_metrics import Dimension, Reporter
from service.queue.interface import JobQueue
from service.queue.reads import MinuteRuns
from service.settings import Settings

PATH = "/metrics"
CONTENT_TYPE = "text/plain; version=0.0.4"  # and Litestar adds the charset
FRESH_SECONDS = 5.0
WRITTEN_SECONDS = 20  # until each worker has written what it did in a minute
HELP = {
    Metric.BACKLOG: "Jobs that are due and wait.",
    Metric.OLDEST_JOB_AGE_SECONDS: "How long the oldest of them has been due.",
    Metric.WORKERS_ALIVE: "Workers with a live lease.",
    Metric.JOBS_PER_WORKER: "Waiting and running jobs for each of them.",
    Metric.JOBS_FINISHED: "Jobs that completed in the last whole minute.",
    Metric.JOBS_FAILED: "Jobs that failed for good in the last whole minute.",
    Metric.JOBS_RETRIED: "Attempts that failed and are repeated, in the last whole minute.",
}

Figures = Iterable[tuple[tuple[Dimension, ...], dict[Metric, float]]]


class Scrape:
    """Reads the figures once in five seconds, however many ask."""

    def __init__(self, queue: JobQueue, settings: Settings) -> None:
        self._queue = queue
        self._reporter = Reporter(queue, settings)
        self._lock = asyncio.Lock()
        self._text, self._read_at = "", float("-inf")

    async def text(self) -> str:
        """The page. Raises one of `service.db.UNAVAILABLE` while the database is away."""
        async with self._lock:
            if time.monotonic() - self._read_at > FRESH_SECONDS:
                self._text, self._read_at = await self._read(), time.monotonic()
            return self._text

    async def _read(self) -> str:
        common = self._reporter.application
        figures = [
            ((*common.items(), dimension), values)
            for dimension, values in await self._reporter.measure()
        ]
        runs = await self._queue.read_runs(0.1)
        return render([*figures, (tuple(common.items()), last_minute(runs, datetime.now(UTC)))])


def last_minute(runs: Iterable[MinuteRuns], now: datetime) -> dict[Metric, float]:
    """What ended in the last minute of which all workers have written their counts."""
    written = now - timedelta(seconds=WRITTEN_SECONDS)
    minute = written.replace(second=0, microsecond=0) - timedelta(minutes=1)
    found = next((each for each in runs if each.minute == minute), None)
    return {
        Metric.JOBS_FINISHED: found.complete if found else 0,
        Metric.JOBS_FAILED: found.failed if found else 0,
        Metric.JOBS_RETRIED: found.retried if found else 0,
    }


def render(figures: Figures) -> str:
    """The figures as Prometheus reads them, those of a metric together."""
    lines: dict[Metric, list[str]] = {}
    for dimensions, values in figures:
        labels = ",".join(f'{name}="{_escaped(value)}"' for name, value in dimensions)
        for metric, value in values.items():
            lines.setdefault(metric, []).append(f"{_name(metric)}{{{labels}}} {value:g}")
    return "".join(
        f"# HELP {_name(metric)} {HELP[metric]}\n# TYPE {_name(metric)} gauge\n"
        + "".join(f"{line}\n" for line in found)
        for metric, found in lines.items()
    )


def _name(metric: Metric) -> str:
    # CloudWatch has a namespace for it.
    return f"{METRIC_NAMESPACE}_{metric}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


@get(PATH, include_in_schema=False, media_type=MediaType.TEXT)
async def metrics(state: State) -> Response[str]:
    """Behind the API key, as all of the API."""
    scrape: Scrape = state.scrape
    return Response(await scrape.text(), media_type=CONTENT_TYPE)


def unless_taken(paths: Iterable[str]) -> list[ControllerRouterHandler]:
    """The route, unless a domain has one of its own at that path."""
    return [] if PATH in paths else [metrics]
