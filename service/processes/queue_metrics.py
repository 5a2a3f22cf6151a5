"""The metrics of a queue and of this process's worker."""

import asyncio
import random
import time

import structlog

from service import metrics
from service.contract import Metric, MetricDimension
from service.queue.interface import JobQueue
from service.settings import Settings

# So often in each period every process checks whether a report is due. When the process that wrote
# the last one dies, another one writes the next within the period.
CHECKS = 4
# A report may be early by this part of a period: a minute without any would ring an alarm.
EARLY = 1 / 12

log = structlog.stdlib.get_logger("queue")


class Reporter:
    """Writes the metrics of the queue, one process in each period, and of this process's worker.

    The API has one too, because a queue without a worker also needs metrics: only they make the
    autoscaler start the first worker.
    """

    def __init__(self, queue: JobQueue, settings: Settings) -> None:
        self._queue = queue
        self._due_seconds = settings.metric_seconds * (1 - EARLY)
        self._check_seconds = settings.metric_seconds / CHECKS
        self._dimensions = {
            MetricDimension.APP: settings.app_name,
            MetricDimension.STAGE: settings.stage,
            MetricDimension.QUEUE: queue.name,
        }
        self._counted: dict[Metric, float] = dict.fromkeys(self._counts(), 0)
        self._counted_at = time.monotonic()

    async def run(self) -> None:
        """Report until cancelled. While the database is away nothing is written."""
        while True:
            try:
                if await self.is_due():
                    metrics.write(self._dimensions, await self.measure())
            except Exception as error:  # whatever it is, this loop has to go on
                log.debug("no report on the queue", error=type(error).__name__)
            if (
                self._queue.consumer.is_started
                and time.monotonic() - self._counted_at > self._due_seconds
            ):
                metrics.write(self._dimensions, self.count())
            jitter = random.uniform(0.9, 1.1)  # noqa: S311 - not a secret
            await asyncio.sleep(self._check_seconds * jitter)

    async def is_due(self) -> bool:
        """Claim the next report. True for one process in each period."""
        return await self._queue.claim_report(self._due_seconds)

    async def measure(self) -> dict[Metric, float]:
        """The queue's figures."""
        stats = await self._queue.stats()
        return {
            Metric.BACKLOG: stats.queued,
            Metric.OLDEST_JOB_AGE_SECONDS: round(stats.oldest_due_seconds, 1),
            Metric.WORKERS_ALIVE: stats.workers,
            Metric.JOBS_PER_WORKER: (stats.queued + stats.active) / max(stats.workers, 1),
        }

    def count(self) -> dict[Metric, float]:
        """What this process has done since the last call."""
        now = self._counts()
        since = {metric: now[metric] - self._counted[metric] for metric in now}
        self._counted, self._counted_at = now, time.monotonic()
        age = self._queue.consumer.seconds_since_heard()
        return since if age is None else {**since, Metric.LISTEN_AGE_SECONDS: round(age, 1)}

    def _counts(self) -> dict[Metric, float]:
        queue = self._queue
        return {
            Metric.JOBS_STARTED: queue.jobs_started,
            Metric.JOBS_FINISHED: queue.complete,
            Metric.JOBS_FAILED: queue.failed,
            Metric.JOBS_RETRIED: queue.retried,
            Metric.DEAD_LETTERS: queue.dead_letters,
        }
